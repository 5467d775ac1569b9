"""Likes of posts and of comments: one small document for each pair of target and user."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

import msgspec
from bson import ObjectId
from pymongo import timeout
from pymongo.errors import BulkWriteError, PyMongoError

from datasources.concurrency.batcher import BatchTimeout
from datasources.jobs.outbox import change, find_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.batched_operations import MongoBatcher
from datasources.mongo.client import Database, Document, Session, time_limit
from datasources.mongo.indexes import BY_LIKER
from datasources.mongo.lenient_reads import readable
from datasources.mongo.pages import find_page
from datasources.mongo.queries import BY_ID, among, find_ids
from datasources.mongo.upserts import update_each, upsert
from datasources.redis.invalidation import Invalidate, InvalidatingWrites
from datasources.telemetry.tracing import current_traceparent
from domain.jobs import Fact, Job, Task
from domain.limits import LIKE_ANNOUNCED_ONCE_IN
from domain.paging import Page, PageRequest, cut_page
from domain.records.likes import LikeRecord

MAX_BATCH = 100  # likes in one write
MAX_BATCH_SECONDS = 1.0  # how long a like that waits for a lock may delay the others of its batch
MIN_SECONDS_ALONE = 0.5  # PyMongo waits for a server for at least this long, whatever the time limit
_TASKS = (Task.COUNT, Task.NOTIFY)
_RECORD_FIELDS = dict.fromkeys(LikeRecord.__struct_encode_fields__, 1)


class _Write(msgspec.Struct, frozen=True):
    """A user likes, or no longer likes, a target."""

    target_id: ObjectId
    user_id: ObjectId
    liked: bool
    pipeline: list[Document]  # made by the caller, whose request may be traced
    traceparent: str | None

    @classmethod
    def of(cls, target_id: ObjectId, user_id: ObjectId, liked: bool, tasks: Sequence[Task], now: datetime) -> "_Write":
        changes = change({"liked": liked}, tasks, now, watched="liked")
        pipeline = [*changes, {"$unset": "expires_at"}] if liked else changes
        return cls(target_id, user_id, liked, pipeline, current_traceparent())

    @property
    def key(self) -> Document:
        return {"target_id": self.target_id, "user_id": self.user_id}


class _BatchFailed(Exception):
    """A write of a batch held up the others (a lock, a concurrent duplicate's upsert): each is repeated alone."""


class LikeStore:
    """One of the collections `post_likes` and `comment_likes`.

    `liked` is what the user chose last. `counted` says whether the target's count reflects it, `notified` whether the
    owner's notification does, and `announced` whether one ever did. What is cached of a user's likes is removed by
    `invalidate` before a write to them is answered.
    """

    def __init__(self, database: Database, fact: Fact, job_queue: JobQueue, invalidate: Invalidate[ObjectId]) -> None:
        self._likes = database[fact.collection]
        self._by_user = InvalidatingWrites(self._likes, invalidate)
        self._fact = fact
        self._job_queue = job_queue
        self._tasks = (*_TASKS, *job_queue.publishing)
        self._writes = MongoBatcher(self._write_batch, MAX_BATCH)

    async def like(self, target_id: ObjectId, user_id: ObjectId, now: datetime) -> None:
        """Makes the user like the target; if that is new, COUNT and NOTIFY are pending. Atomic and safe to repeat."""
        await self._submit(_Write.of(target_id, user_id, True, self._tasks, now))

    async def unlike(self, target_id: ObjectId, user_id: ObjectId, now: datetime) -> None:
        """Makes the user not like the target; if they did, the same is pending. Atomic and safe to repeat."""
        await self._submit(_Write.of(target_id, user_id, False, self._tasks, now))

    async def unlike_by_user(self, user_id: ObjectId, now: datetime, limit: int) -> bool:
        """Takes back up to `limit` likes of one user, as `unlike` does; whether there were any. Safe to repeat."""
        query, hint = {"user_id": user_id, "liked": True}, BY_LIKER.document["name"]
        rows = await self._likes.find(query, {"target_id": 1}, limit=limit, hint=hint).to_list()
        await asyncio.gather(*(self.unlike(row["target_id"], user_id, now) for row in rows))
        return bool(rows)

    async def delete_taken_back(self, user_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` likes that a user took back and that have nothing pending; whether there were any."""
        over: Document = {"liked": False, "outbox": {"$exists": False}}
        ids = await find_ids(self._likes, {"user_id": user_id, **over}, limit=limit)
        await self._likes.delete_many({"_id": {"$in": ids}, **over})
        return bool(ids)

    async def by_targets(self, user_id: ObjectId, target_ids: Sequence[ObjectId]) -> list[LikeRecord | None]:
        """One user's likes of these targets, in their order; one operation."""
        query = {"target_id": {"$in": list(target_ids)}, "user_id": user_id}
        rows = await self._likes.find(query, _RECORD_FIELDS, batch_size=len(target_ids) + 1).to_list()
        likes = {row["target_id"]: readable(LikeRecord, row) for row in rows}
        return [likes.get(target_id) for target_id in target_ids]

    async def likers(self, target_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Who likes a target, latest first."""
        query: Document = {"target_id": target_id, "liked": True}
        rows = await find_page(self._likes, query, request.expects(ObjectId), projection={"user_id": 1})
        return cut_page(request, [(row["_id"], row["user_id"]) for row in rows])

    async def liked_by(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """What a user likes, latest first."""
        query, hint = {"user_id": user_id, "liked": True}, BY_LIKER.document["name"]
        rows = await find_page(self._likes, query, request.expects(ObjectId), projection={"target_id": 1}, hint=hint)
        return cut_page(request, [(row["_id"], row["target_id"]) for row in rows])

    async def pending_counts(self, target_ids: Sequence[ObjectId], session: Session, limit: int) -> list[Document]:
        """Likes that their targets' counts do not reflect yet, in the order of the targets."""
        fields = {"target_id": 1, "liked": 1, "counted": 1}
        return await find_pending(self._likes, "target_id", target_ids, Task.COUNT, fields, session, limit)

    async def pending_notifications(
        self, target_ids: Sequence[ObjectId], session: Session, limit: int
    ) -> list[Document]:
        """Likes that their targets' notifications do not reflect yet, in the order of the targets."""
        fields = {"target_id": 1, "user_id": 1, "liked": 1, "notified": 1, "announced": 1}
        return await find_pending(self._likes, "target_id", target_ids, Task.NOTIFY, fields, session, limit)

    async def pending_events(self, task: Task, target_ids: Sequence[ObjectId], limit: int) -> list[Document]:
        """Likes of which others have yet to be told, in the order of the targets."""
        fields = dict.fromkeys(("target_id", "user_id", "liked", "version", "changed_at"), 1)
        return await find_pending(self._likes, "target_id", target_ids, task, fields, None, limit)

    async def set_published(self, likes: Sequence[Document], task: Task) -> None:
        """Marks a task of publishing done for those of these likes that have not changed since they were read."""
        for version in {like["version"] for like in likes}:
            same = {**among([like for like in likes if like["version"] == version], "target_id"), "version": version}
            await self._likes.update_many(same, mark_done(task), hint=BY_ID)
        await self._remove_taken_back([like for like in likes if not like["liked"]], None)

    async def set_counted(self, likes: Sequence[Document], session: Session) -> None:
        """Marks these likes as reflected in the counts; they are read with `pending_counts` in the same transaction."""
        pipeline = [{"$set": {"counted": "$liked"}}, *mark_done(Task.COUNT)]
        await self._update(likes, pipeline, session)
        await self._remove_taken_back([like for like in likes if not like["liked"]], session)

    async def set_notified(self, notified: Sequence[Document], rest: Sequence[Document], session: Session) -> None:
        """Marks which likes the notifications now reflect, and which not; NOTIFY is then done for all of them."""
        announced = {"$set": {"notified": True, "announced": True}}
        await self._update(notified, [announced, *mark_done(Task.NOTIFY)], session)
        await self._update(rest, [{"$set": {"notified": False}}, *mark_done(Task.NOTIFY)], session)
        await self._remove_taken_back(rest, session)

    async def latest_notified(self, target_id: ObjectId, limit: int, session: Session) -> list[ObjectId]:
        """The users of the latest likes that a target's notification reflects, latest first."""
        query = {"target_id": target_id, "liked": True, "notified": True}
        rows = self._likes.find(query, {"user_id": 1}, sort=[("_id", -1)], limit=limit, session=session)
        return [row["user_id"] for row in await rows.to_list()]

    async def delete_by_target(self, target_id: ObjectId) -> None:
        """Deletes every like of something deleted. Safe to repeat."""
        await self._likes.delete_many({"target_id": target_id})

    async def _update(self, likes: Sequence[Document], pipeline: list[Document], session: Session) -> None:
        if likes:
            await self._likes.update_many(among(likes, "target_id"), pipeline, session=session, hint=BY_ID)

    async def _remove_taken_back(self, likes: Sequence[Document], session: Session | None) -> None:
        """Deletes likes that are taken back and have nothing pending; a TTL index deletes announced ones later."""
        if not likes:
            return
        over = {**among(likes, "target_id"), "liked": False, "outbox": {"$exists": False}}
        await self._likes.delete_many({**over, "announced": {"$ne": True}}, session=session, hint=BY_ID)
        expiry = [{"$set": {"expires_at": {"$add": ["$$NOW", LIKE_ANNOUNCED_ONCE_IN.total_seconds() * 1000]}}}]
        await self._likes.update_many(over, expiry, session=session, hint=BY_ID)

    async def _submit(self, write: _Write) -> None:
        began, limit = time.monotonic(), time_limit(self._likes)
        try:
            await self._writes.submit(write, limit)
        except _BatchFailed as error:
            left = None if limit is None else began + limit - time.monotonic()
            if left is not None and left < MIN_SECONDS_ALONE:
                raise BatchTimeout(f"not written within {limit} s") from error
            with timeout(left):
                await self._write_alone(write)

    async def _write_batch(self, writes: Sequence[_Write]) -> list[None]:
        updates = [{"q": write.key, "u": write.pipeline, "upsert": write.liked} for write in writes]
        try:
            async with self._by_user.invalidating({write.user_id for write in writes}) as likes:
                with timeout(MAX_BATCH_SECONDS):
                    changed = await update_each(likes, updates)
        except PyMongoError as error:
            if isinstance(error, BulkWriteError) or error.timeout:
                raise _BatchFailed from error
            raise
        if changed:
            await self._enqueue(writes)
        return [None] * len(writes)

    async def _write_alone(self, write: _Write) -> None:
        async with self._by_user.invalidating([write.user_id]) as likes:
            if write.liked:
                await upsert(likes, write.key, write.pipeline)
            else:
                await likes.update_one(write.key, write.pipeline)
        await self._enqueue([write])

    async def _enqueue(self, writes: Sequence[_Write]) -> None:
        """Enqueues the jobs of the targets; a job for a like that did not change finds nothing pending."""
        traces: dict[ObjectId, str | None] = {}
        for write in writes:
            traces[write.target_id] = traces.get(write.target_id) or write.traceparent
        await self._job_queue.enqueue_traced(
            {
                Job(task, self._fact, str(target_id)): trace
                for target_id, trace in traces.items()
                for task in self._tasks
            }
        )
