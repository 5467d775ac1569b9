"""Dead letters: jobs that keep failing, and malformed messages. They are in MongoDB, so no wipe of Redis loses them."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import Stage, mark_dead_lettered, mark_redriven
from datasources.mongo.batched_operations import MongoBatcher
from datasources.mongo.client import Database, Document, time_limit
from domain.jobs import JOBS, Fact, Job, Task
from domain.records.record import Record

MAX_BATCH = 100  # calls whose failures are cleared in one operation
MAX_REASON_LENGTH = 2_000
LOST = "its worker ended, or froze, while it worked on this"
MAX_FIELDS = 20  # of a malformed message
MAX_FIELD_BYTES = 500  # of a name or value in it
MAX_MALFORMED = 1_000  # letters; further ones are dropped
# The kinds of jobs whose key is the id of an account.
_BY_USER = [
    (task, fact)
    for (task, fact), spec in JOBS.items()
    if spec.key_field in {"author_id", "follower_id", "followee_id"} or fact in {Fact.USER, Fact.FEED, Fact.INTEREST}
]


class DeadLetter(Record, frozen=True, kw_only=True, rename={"job": "_id"}):
    """A job that failed, or whose worker was lost with it; it is dead after the `attempts` of its kind."""

    job: Job
    attempts: int
    reason: str
    dead: bool
    last_at: datetime


class MalformedLetter(Record, frozen=True, kw_only=True, rename={"id": "_id"}):
    """A message that is no job, how often it came, and on which worker's queue. Long fields are cut."""

    id: str
    worker: str
    fields: dict[bytes, bytes]
    times: int
    last_at: datetime


class DeadLetterStore:
    """The collections `failures` and `malformed`.

    The first has a document for each job that has failed and not succeeded since, the other for each malformed message.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failures = database["failures"]
        self._malformed = database["malformed"]
        self._clearing: MongoBatcher[Sequence[Job], None] = MongoBatcher(self._delete_failures, MAX_BATCH)

    async def count_failure(self, job: Job, reason: str, now: datetime) -> DeadLetter:
        """Counts a failed attempt; after the last one the job is dead-lettered: the relay no longer enqueues it."""
        return await self._count(job, 1, {"reason": {"$literal": reason[:MAX_REASON_LENGTH]}, "last_at": now})

    async def count_loss(self, job: Job, consumer: str, now: datetime) -> DeadLetter:
        """As `count_failure`, for a job that a consumer had started when its lease expired: it died or froze.

        Safe to repeat: a consumer counts once. `uncount_loss` takes it back.
        """
        before = {"$ifNull": ["$lost_by", []]}
        count = {"$cond": [{"$in": [consumer, before]}, 0, 1]}
        lost_by = {"$setUnion": [before, [consumer]]}
        return await self._count(job, count, {"lost_by": lost_by, "reason": LOST, "last_at": now})

    async def uncount_loss(self, consumer: str, now: datetime, job: Job | None = None) -> None:
        """Takes back what `count_loss` counted, for all jobs or one: the consumer lives. Safe to repeat.

        A letter that was dead because of it is not dead any more, and its job is enqueued again.
        """
        query: Document = {"lost_by": consumer} | ({} if job is None else {"_id": msgspec.to_builtins(job)})
        for document in await self._failures.find(query).to_list():
            letter = DeadLetter.from_document(document)
            if letter.dead and letter.attempts == JOBS[letter.job.kind].attempts:
                await self._update_facts(letter.job, mark_redriven(letter.job.task, now))
            lost_by = {"$setDifference": ["$lost_by", [consumer]]}
            pipeline: list[Document] = [
                {"$set": {"attempts": {"$subtract": ["$attempts", 1]}, "lost_by": lost_by}},
                {"$set": {"dead": {"$gte": ["$attempts", JOBS[letter.job.kind].attempts]}}},
            ]
            await self._failures.update_one({"_id": document["_id"], "lost_by": consumer}, pipeline)
            await self._failures.delete_one({"_id": document["_id"], "attempts": {"$lte": 0}})

    async def _count(self, job: Job, count: object, values: Document) -> DeadLetter:
        pipeline = [
            {"$set": {"attempts": {"$add": [{"$ifNull": ["$attempts", 0]}, count]}, **values}},
            {"$set": {"dead": {"$gte": ["$attempts", JOBS[job.kind].attempts]}}},
        ]
        key = {"_id": msgspec.to_builtins(job)}
        document = await self._failures.find_one_and_update(key, pipeline, upsert=True, return_document=True)
        letter = DeadLetter.from_document(document or {})
        if letter.dead:
            await self._update_facts(job, mark_dead_lettered(job.task))
        return letter

    async def clear_failures(self, *jobs: Job) -> None:
        """Deletes the counted failures of jobs, for concurrent callers in one operation. Safe to repeat."""
        if jobs:
            await self._clearing.submit(jobs, time_limit(self._failures))

    async def _delete_failures(self, batch: Sequence[Sequence[Job]]) -> list[None]:
        ids = [msgspec.to_builtins(job) for jobs in batch for job in jobs]
        await self._failures.delete_many({"_id": {"$in": ids}})
        return [None] * len(batch)

    async def clear_failures_of_user(self, user_id: ObjectId) -> None:
        """Deletes the counted failures of jobs about a deleted account. Safe to repeat."""
        await self.clear_failures(*(Job(task, fact, str(user_id)) for task, fact in _BY_USER))

    async def all_dead(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter, latest first, without those of tasks that only a newer version knows."""
        query = {"dead": True, "_id.task": {"$in": [task.value for task in Task]}}
        async for document in self._failures.find(query, sort=[("last_at", -1)]):
            yield DeadLetter.from_document(document)

    async def redrive(self, job: Job, now: datetime) -> None:
        """Has a job tried again, from the first attempt on. Safe to repeat."""
        await self.clear_failures(job)
        await self._update_facts(job, mark_redriven(job.task, now))

    async def add_malformed(self, worker: str, fields: Mapping[bytes, bytes], now: datetime) -> MalformedLetter | None:
        """Keeps a malformed message; an equal one is the same letter. None if there are too many."""
        kept = [
            [name[:MAX_FIELD_BYTES], value[:MAX_FIELD_BYTES]] for name, value in sorted(fields.items())[:MAX_FIELDS]
        ]
        letter_id = hashlib.sha256(msgspec.msgpack.encode([worker, kept])).hexdigest()[:24]
        is_full = await self._malformed.estimated_document_count() >= MAX_MALFORMED
        changes = {"$setOnInsert": {"worker": worker, "fields": kept}, "$inc": {"times": 1}, "$set": {"last_at": now}}
        document = await self._malformed.find_one_and_update(
            {"_id": letter_id}, changes, upsert=not is_full, return_document=True
        )
        return None if document is None else _malformed_letter(document)

    async def all_malformed(self) -> AsyncIterator[MalformedLetter]:
        """Every malformed message, latest first."""
        async for document in self._malformed.find(sort=[("last_at", -1)]):
            yield _malformed_letter(document)

    async def delete_malformed(self, letter: MalformedLetter) -> None:
        """Deletes a letter whose message is on its queue again, unless it has already come back as a letter."""
        await self._malformed.delete_one({"_id": letter.id, "times": letter.times})

    async def _update_facts(self, job: Job, pipeline: list[Stage]) -> None:
        pending = {JOBS[job.kind].key_field: ObjectId(job.key), "outbox": job.task.value}
        await self._database[job.fact.collection].update_many(pending, pipeline)


def _malformed_letter(document: Document) -> MalformedLetter:
    return MalformedLetter.from_document({**document, "fields": dict(document["fields"])})
