"""Dead letters: what a worker could not pay or not even read, kept in MongoDB so that no wipe loses them."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import mark_dead_lettered, mark_redriven
from datasources.mongo.batched import MongoBatcher
from datasources.mongo.client import Collection, Database, Document, time_limit
from domain.jobs import JOBS, Fact, Job, Task

MAX_BATCH = 100  # calls whose successes are forgotten in one operation
MAX_REASON_LENGTH = 2_000
LOST = "its worker ended, or stood still, while it worked on this"
MAX_FIELDS = 20  # of a malformed message
MAX_FIELD_BYTES = 500  # of a name or value in it
MAX_MALFORMED = 1_000  # letters; what comes then is dropped
# What is settled by the id of an account.
_OF_USERS = [
    (task, fact)
    for (task, fact), spec in JOBS.items()
    if spec.key_field in {"author_id", "follower_id", "followee_id"} or fact in {Fact.USER, Fact.FEED, Fact.INTEREST}
]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work that failed, or whose worker died of it; it is dead after the `attempts` of its kind."""

    job: Job
    attempts: int
    reason: str
    dead: bool
    last_at: datetime


class MalformedLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that no handler understands, how often it came, and whose queue it came by. Long fields are cut."""

    id: str
    worker: str
    fields: dict[bytes, bytes]
    times: int
    last_at: datetime


class DeadLetterStore:
    """The collections `failures` and `malformed`.

    In the one is a document for each piece of work that has failed and not succeeded since, in the other one for each
    message that made no sense.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failures = database["failures"]
        self._malformed = database["malformed"]
        self._successes: MongoBatcher[Sequence[Job], None] = MongoBatcher(self._delete_failures, MAX_BATCH)

    async def count_failure(self, job: Job, reason: str, now: datetime) -> DeadLetter:
        """Counts a failed attempt; the last one parks the effect, so that the sweeper rings for it no more."""
        return await self._attempted(job, 1, {"reason": {"$literal": reason[:MAX_REASON_LENGTH]}, "last_at": now})

    async def count_loss(self, job: Job, consumer: str, now: datetime) -> DeadLetter:
        """As `failed`, for work that a consumer had begun when its lease ran out: it died, or is frozen. Repeatable.

        `kept` takes that back once somebody knows better.
        """
        before = {"$ifNull": ["$lost_by", []]}
        count = {"$cond": [{"$in": [consumer, before]}, 0, 1]}
        lost_by = {"$setUnion": [before, [consumer]]}
        return await self._attempted(job, count, {"lost_by": lost_by, "reason": LOST, "last_at": now})

    async def uncount_loss(self, consumer: str, now: datetime, job: Job | None = None) -> None:
        """This consumer did not die of what it had begun, or not of `ring`: takes back what `lost` counted.

        A letter that was dead by that alone is not, and its work is rung for. Safe to repeat.
        """
        query: Document = {"lost_by": consumer} | ({} if job is None else {"_id": msgspec.to_builtins(job)})
        for document in await self._failures.find(query).to_list():
            letter = _letter(document)
            if letter.dead and letter.attempts == JOBS[letter.job.kind].attempts:
                await self._facts(letter.job).update_many(_pending(letter.job), mark_redriven(letter.job.task, now))
            lost_by = {"$setDifference": ["$lost_by", [consumer]]}
            pipeline: list[Document] = [
                {"$set": {"attempts": {"$subtract": ["$attempts", 1]}, "lost_by": lost_by}},
                {"$set": {"dead": {"$gte": ["$attempts", JOBS[letter.job.kind].attempts]}}},
            ]
            await self._failures.update_one({"_id": document["_id"], "lost_by": consumer}, pipeline)
            await self._failures.delete_one({"_id": document["_id"], "attempts": {"$lte": 0}})

    async def _attempted(self, job: Job, count: object, values: Document) -> DeadLetter:
        pipeline = [
            {"$set": {"attempts": {"$add": [{"$ifNull": ["$attempts", 0]}, count]}, **values}},
            {"$set": {"dead": {"$gte": ["$attempts", JOBS[job.kind].attempts]}}},
        ]
        key = {"_id": msgspec.to_builtins(job)}
        document = await self._failures.find_one_and_update(key, pipeline, upsert=True, return_document=True)
        letter = _letter(document or {})
        if letter.dead:
            await self._facts(job).update_many(_pending(job), mark_dead_lettered(job.task))
        return letter

    async def clear_failures(self, *jobs: Job) -> None:
        """Forgets earlier failures. Safe to repeat; what succeeds at the same time is forgotten together."""
        if jobs:
            await self._successes.submit(jobs, time_limit(self._failures))

    async def _delete_failures(self, asked: Sequence[Sequence[Job]]) -> list[None]:
        jobs = [msgspec.to_builtins(job) for some in asked for job in some]
        await self._failures.delete_many({"_id": {"$in": jobs}})
        return [None] * len(asked)

    async def clear_failures_of_user(self, user_id: ObjectId) -> None:
        """Forgets what failed for a deleted account. Safe to repeat."""
        await self.clear_failures(*(Job(task, fact, str(user_id)) for task, fact in _OF_USERS))

    async def all_dead(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter, the latest first, but for those of effects that only a newer version knows."""
        query = {"dead": True, "_id.task": {"$in": [each.value for each in Task]}}
        async for document in self._failures.find(query, sort=[("last_at", -1)]):
            yield _letter(document)

    async def redrive(self, job: Job, now: datetime) -> None:
        """Lets the work be tried again from the first attempt on. Safe to repeat."""
        await self.clear_failures(job)
        await self._facts(job).update_many(_pending(job), mark_redriven(job.task, now))

    async def add_malformed(self, worker: str, fields: Mapping[bytes, bytes], now: datetime) -> MalformedLetter | None:
        """Keeps a message that makes no sense; the same one again is the same letter. None if there are too many."""
        kept = [
            [name[:MAX_FIELD_BYTES], value[:MAX_FIELD_BYTES]] for name, value in sorted(fields.items())[:MAX_FIELDS]
        ]
        letter_id = hashlib.sha256(msgspec.msgpack.encode([worker, kept])).hexdigest()[:24]
        is_full = await self._malformed.estimated_document_count() >= MAX_MALFORMED
        changes = {
            "$setOnInsert": {"worker": worker, "fields": kept},
            "$inc": {"times": 1},
            "$set": {"last_at": now},
        }
        document = await self._malformed.find_one_and_update(
            {"_id": letter_id}, changes, upsert=not is_full, return_document=True
        )
        return None if document is None else _malformed_letter(document)

    async def all_malformed(self) -> AsyncIterator[MalformedLetter]:
        """Every message that made no sense, the latest first."""
        async for document in self._malformed.find(sort=[("last_at", -1)]):
            yield _malformed_letter(document)

    async def delete_malformed(self, letter: MalformedLetter) -> None:
        """Forgets a letter whose message is on its queue again, unless it has come back as a letter already."""
        await self._malformed.delete_one({"_id": letter.id, "times": letter.times})

    def _facts(self, job: Job) -> Collection:
        return self._database[f"{job.fact.value}s"]


def _pending(job: Job) -> Document:
    return {JOBS[job.kind].key_field: ObjectId(job.key), "outbox": job.task.value}


def _letter(document: Document) -> DeadLetter:
    key = document["_id"]
    return DeadLetter(
        job=Job(Task(key["task"]), Fact(key["fact"]), key["key"]),
        attempts=document["attempts"],
        reason=document["reason"],
        dead=document["dead"],
        last_at=document["last_at"],
    )


def _malformed_letter(document: Document) -> MalformedLetter:
    return MalformedLetter(
        id=document["_id"],
        worker=document["worker"],
        fields=dict(document["fields"]),
        times=document["times"],
        last_at=document["last_at"],
    )
