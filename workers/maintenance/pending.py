"""What is pending and what is stuck: dead letters, overdue jobs, jobs that no worker finishes, and the queues."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from datasources.events.webhook_endpoints import BY_OPERATOR
from datasources.jobs.outbox import MAX_PAUSE
from datasources.jobs.queue import MAX_QUEUE_LENGTH, SET_ASIDE, error_name
from datasources.mongo.client import Document
from datasources.outages import is_outage, server_of
from datasources.sources import Sources
from domain.jobs import WORKERS, Fact, Job, Task
from domain.limits import UPLOAD_LATENESS
from workers.maintenance.checks.check import Finding

LISTED = 1_000  # of each kind; more of them say no more
COUNTED = 100_000
OVERDUE = timedelta(seconds=30)  # a relay that runs and keeps up is never this late
ENQUEUES = 6  # in more than a minute and a half, and no worker has finished the job
AGAIN_SECONDS = 1.0  # between two looks at a queue whose server does not answer
SPLIT = [Task.FAN_OUT.value]  # the tasks of a post whose fan-out is split; its chunks are facts themselves
WAITING = [Task.INGEST.value, Task.COMPLETE_POST.value]  # these may wait for a client to send a file

DEAD_LETTER, QUEUE, WEBHOOKS = "dead_letter", "queue", "webhook_endpoint"
DEAD_LETTERED, NEVER_ENQUEUED, UNFINISHED = "dead_lettered", "never_enqueued", "unfinished"


class PendingReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many facts of each kind have tasks pending, dead-lettered ones too, and for how long the oldest has them.

    Only the first 100,000 of each kind are looked at.
    """

    facts: dict[str, int]
    oldest_seconds: float


async def report_pending(sources: Sources, now: datetime) -> PendingReport:
    """What is pending now: one indexed read for each kind of fact."""
    facts: dict[str, int] = {}
    oldest = now
    summed = {"$group": {"_id": None, "facts": {"$sum": 1}, "since": {"$min": "$pending_since"}}}
    for fact in Fact:
        stages: list[Document] = [{"$match": {"outbox": {"$exists": True}}}, {"$limit": COUNTED}, summed]
        rows = await (await sources.database[fact.collection].aggregate(stages)).to_list()
        facts[fact.value] = sum(row["facts"] for row in rows)
        oldest = min([oldest, *(row["since"] for row in rows if row["since"])])
    return PendingReport(facts=facts, oldest_seconds=round((now - oldest).total_seconds(), 1))


async def _depth(sources: Sources, worker: str) -> int:
    """Asked twice, because a busy server is no outage; raises as `JobQueue.depth`."""
    try:
        return await sources.job_queue.depth(worker)
    except Exception as error:
        if not is_outage(error):
            raise
    await asyncio.sleep(AGAIN_SECONDS)
    return await sources.job_queue.depth(worker)


async def queue_depths(sources: Sources) -> tuple[dict[str, int], list[Finding]]:
    """How many messages wait for each worker; findings of full queues, and of those for which no server answers.

    A queue that is missing, because a new version has not been prepared yet, hides no other.
    """
    workers = [*WORKERS, SET_ASIDE] if sources.settings.job_queue == "sns-sqs" else WORKERS
    answers = await asyncio.gather(*(_depth(sources, worker) for worker in workers), return_exceptions=True)
    depths: dict[str, int] = {}
    unanswered: dict[tuple[str, str], list[str]] = {}
    for worker, answer in zip(workers, answers, strict=True):
        if isinstance(answer, int):
            depths[worker] = answer
        elif is_outage(answer):
            server, name = server_of(answer) or "the job queue", error_name(answer)
            unanswered.setdefault((server, name), []).append(worker)
        else:
            raise answer
    findings = []
    for (server, name), without in unanswered.items():
        why = f"{server} does not answer ({name})" + (f" for {', '.join(without)}" if depths else "")
        findings.append(Finding(kind=QUEUE, id=server.lower(), found=name, why=why))
    why = "so many messages wait that new ones are dropped: too few workers run"
    full = [(worker, depth) for worker, depth in depths.items() if depth >= MAX_QUEUE_LENGTH]
    findings += [Finding(kind=QUEUE, id=worker, found=depth, why=why) for worker, depth in full]
    if set_aside := depths.get(SET_ASIDE):
        why = "SQS has set these messages aside, because no worker has finished them: `dlq redrive --all`"
        findings.append(Finding(kind=QUEUE, id=SET_ASIDE, found=set_aside, why=why))
    return depths, findings


async def find_stuck(sources: Sources, now: datetime) -> list[Finding]:
    """The facts that are dead-lettered, overdue, or enqueued in vain, and the dead letters."""
    findings = []
    for fact in Fact:
        findings += [
            *await _find(sources, fact, DEAD_LETTERED, {"outbox": {"$exists": True}, "due_at": {"$exists": False}}),
            *await _find(sources, fact, NEVER_ENQUEUED, {"due_at": {"$lt": now - OVERDUE}}),
            *await _find(sources, fact, UNFINISHED, _unfinished(sources, now)),
        ]
    async for letter in sources.dead_letters.all_dead():
        findings.append(Finding(kind=DEAD_LETTER, id=name_of(letter.job), found=letter.attempts, why=letter.reason))
    for endpoint in await sources.webhook_endpoints.all():
        if endpoint.disabled_because not in (None, BY_OPERATOR):
            why = f"no webhooks are sent there ({endpoint.disabled_because}): `webhooks enable`, or `webhooks delete`"
            findings.append(Finding(kind=WEBHOOKS, id=str(endpoint.id), found="disabled", why=why))
    return findings


def name_of(job: Job) -> str:
    """A job as `dlq redrive` takes it."""
    return f"{job.task.value} {job.fact.value} {job.key}"


def _unfinished(sources: Sources, now: datetime) -> Document:
    patience = timedelta(seconds=sources.settings.upload_ttl) + UPLOAD_LATENESS + MAX_PAUSE
    return {
        "enqueues": {"$gte": ENQUEUES},
        "$and": [
            {"outbox": {"$exists": True}},
            {"$or": [{"outbox": {"$nin": WAITING}}, {"created_at": {"$lt": now - patience}}]},
            {"$or": [{"outbox": {"$ne": SPLIT}}, {"$expr": {"$ne": ["$split", "$version"]}}]},
        ],
    }


_WHY = {
    DEAD_LETTERED: "its tasks failed too often, and nothing tries them again: see the dead letters",
    NEVER_ENQUEUED: "its job is overdue: no relay runs, or it cannot keep up",
    UNFINISHED: "its job was enqueued again and again, and no worker has finished it",
}


async def _find(sources: Sources, fact: Fact, kind: str, query: Document) -> list[Finding]:
    rows = await sources.database[fact.collection].find(query, {"outbox": 1}, limit=LISTED).to_list()
    return [
        Finding(
            kind=f"{fact.value}.{kind}", id=str(row["_id"]), expected=[], found=row.get("outbox", []), why=_WHY[kind]
        )
        for row in rows
    ]
