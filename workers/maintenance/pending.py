"""What is owed and stuck: parked facts, dead letters, facts nobody rings for, and how much waits in the queues."""

from datetime import datetime, timedelta

import msgspec
from redis.exceptions import RedisError

from datasources.jobs.outbox import LONGEST_PAUSE
from datasources.jobs.queue import LONGEST_STREAM, stream_key
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.jobs import WORKERS, Fact, Task
from domain.limits import UPLOAD_LATENESS
from workers.maintenance.checks.check import Finding

LISTED = 1_000  # of each kind; more of them say no more
COUNTED = 100_000
UNRUNG = timedelta(seconds=30)  # a sweeper that runs and keeps up is never this late
JOBS = 6  # more than a minute and a half of ringing, and no worker has paid
SPLIT = [Task.FAN_OUT.value]  # of a post that is split nothing else: its chunks are looked at themselves
WAITING = [Task.INGEST.value, Task.COMPLETE_POST.value]  # these may wait for a client to send a file


class PendingReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many facts of each kind owe something, and the age of the oldest debt in seconds, parked ones too.

    Only the first 100,000 of each kind are looked at.
    """

    facts: dict[str, int]
    oldest_seconds: float


async def pending_report(sources: Sources, now: datetime) -> PendingReport:
    """What is owed now: one read of what owes, for each kind of fact."""
    facts: dict[str, int] = {}
    oldest = now
    summed = {"$group": {"_id": None, "facts": {"$sum": 1}, "since": {"$min": "$pending_since"}}}
    for fact in Fact:
        stages: list[Document] = [{"$match": {"outbox": {"$exists": True}}}, {"$limit": COUNTED}, summed]
        rows = await (await sources.database[f"{fact.value}s"].aggregate(stages)).to_list()
        facts[fact.value] = sum(row["facts"] for row in rows)
        oldest = min([oldest, *(row["since"] for row in rows if row["since"])])
    return PendingReport(facts=facts, oldest_seconds=round((now - oldest).total_seconds(), 1))


async def depths(sources: Sources) -> tuple[dict[str, int], list[Finding]]:
    """How many rings wait for each worker; a finding if Redis cannot be asked, or has so many that no more are rung."""
    found: dict[str, int] = {}
    try:
        for worker in WORKERS:
            stream = stream_key(sources.settings.key_prefix, worker)
            found[worker] = int(await sources.redis.xlen(stream))
    except (RedisError, OSError) as error:
        why = f"the transport cannot be reached ({type(error).__name__})"
        return found, [Finding(kind="stream", id="redis", expected=None, found=type(error).__name__, why=why)]
    why = "so many rings wait that the doorbell is silent: too few workers run"
    full = [(name, depth) for name, depth in found.items() if depth >= LONGEST_STREAM]
    return found, [Finding(kind="stream", id=name, expected=None, found=depth, why=why) for name, depth in full]


async def stuck(sources: Sources, now: datetime) -> list[Finding]:
    """Facts that are parked, not rung for, or rung for in vain, and the dead letters."""
    findings = []
    for fact in Fact:
        for check in (_dead_lettered, _never_enqueued, _unfinished):
            findings += await check(sources, fact, now)
    async for letter in sources.dead_letters.dead():
        job = letter.job
        about = f"{job.task.value} {job.fact.value} {job.key}"
        findings.append(Finding(kind="dead_letter", id=about, expected=None, found=letter.attempts, why=letter.reason))
    return findings


async def _dead_lettered(sources: Sources, fact: Fact, _now: datetime) -> list[Finding]:
    query = {"outbox": {"$exists": True}, "due_at": {"$exists": False}}
    rows = await _listed(sources, fact, query)
    return [
        _finding("dead_lettered", fact, row, "it owes effects, and nobody rings for it: see dead letters")
        for row in rows
    ]


async def _never_enqueued(sources: Sources, fact: Fact, now: datetime) -> list[Finding]:
    rows = await _listed(sources, fact, {"due_at": {"$lt": now - UNRUNG}})
    why = "its ring is overdue: no sweeper runs, or it cannot keep up"
    return [_finding("unrung", fact, row, why) for row in rows]


async def _unfinished(sources: Sources, fact: Fact, now: datetime) -> list[Finding]:
    patience = timedelta(seconds=sources.settings.upload_ttl) + UPLOAD_LATENESS + LONGEST_PAUSE
    query: Document = {
        "enqueues": {"$gte": JOBS},
        "$and": [
            {"outbox": {"$exists": True}},
            {"$or": [{"outbox": {"$nin": WAITING}}, {"created_at": {"$lt": now - patience}}]},
            {"$or": [{"outbox": {"$ne": SPLIT}}, {"$expr": {"$ne": ["$split", "$version"]}}]},
        ],
    }
    rows = await _listed(sources, fact, query)
    return [_finding("unpaid", fact, row, "it was rung for again and again, and no worker has paid") for row in rows]


async def _listed(sources: Sources, fact: Fact, query: Document) -> list[Document]:
    fields = {"outbox": 1, "due_at": 1, "enqueues": 1}
    return await sources.database[f"{fact.value}s"].find(query, fields, limit=LISTED).to_list()


def _finding(kind: str, fact: Fact, row: Document, why: str) -> Finding:
    return Finding(kind=f"{fact.value}.{kind}", id=str(row["_id"]), expected=[], found=row.get("outbox", []), why=why)
