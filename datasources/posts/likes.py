"""Likes of posts and of comments: one small document for each pair of user and target."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta

import msgspec
from bson import ObjectId
from pymongo import UpdateOne, timeout
from pymongo.errors import BulkWriteError, PyMongoError

from datasources.jobs.outbox import change, find_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.batched import MongoBatcher
from datasources.mongo.client import Database, Document, Session, time_limit
from datasources.mongo.indexes import BY_LIKER
from datasources.mongo.pages import find_page
from datasources.mongo.readable import readable
from datasources.mongo.upserts import upsert
from domain.jobs import Fact, Task, jobs_of
from domain.paging import Page, PageRequest, cut_page
from domain.records.likes import LikeRecord

REMEMBERED = timedelta(days=7)  # a like taken back and given again within it is not announced twice
MAX_BATCH = 100  # likes in one write
MAX_BATCH_SECONDS = 1.0  # what a like held up by a lock may cost those in its group
_TASKS = (Task.COUNT, Task.NOTIFY)


class _Act(msgspec.Struct, frozen=True):
    """A user likes, or no longer likes, a target."""

    target_id: ObjectId
    user_id: ObjectId
    liked: bool
    now: datetime

    @property
    def key(self) -> Document:
        return {"target_id": self.target_id, "user_id": self.user_id}

    @property
    def pipeline(self) -> list[Document]:
        changes = change({"liked": self.liked}, _TASKS, self.now, watched="liked")
        return [*changes, {"$unset": "expires_at"}] if self.liked else changes


class _HeldUpError(Exception):
    """One of a group was in the way of the others (a lock, a twin's upsert): each goes on by itself."""


class LikeStore:
    """One of the collections `post_likes` and `comment_likes`.

    `liked` is what the user wants, `counted` whether the target's count has it, `notified` whether the target's owner
    is told of it, and `announced` whether they ever were.
    """

    def __init__(self, database: Database, fact: Fact, job_queue: JobQueue) -> None:
        self._likes = database[f"{fact.value}s"]
        self._fact = fact
        self._job_queue = job_queue
        self._writes = MongoBatcher(self._write, MAX_BATCH)

    async def like(self, target_id: ObjectId, user_id: ObjectId, now: datetime) -> None:
        """Sees to it that the user likes the target; owes counting and notifying if that is new. Safe to repeat."""
        await self._act(_Act(target_id, user_id, True, now))

    async def unlike(self, target_id: ObjectId, user_id: ObjectId, now: datetime) -> None:
        """Sees to it that the user does not like the target; owes the same if they did. Safe to repeat."""
        await self._act(_Act(target_id, user_id, False, now))

    async def unlike_by_user(self, user_id: ObjectId, now: datetime, most: int) -> bool:
        """Takes up to `most` likes of one user back, as `unlike` does; whether there were any. Safe to repeat."""
        query, hint = {"user_id": user_id, "liked": True}, BY_LIKER.document["name"]
        rows = await self._likes.find(query, {"target_id": 1}, limit=most, hint=hint).to_list()
        await asyncio.gather(*(self.unlike(row["target_id"], user_id, now) for row in rows))
        return bool(rows)

    async def delete_taken_back(self, user_id: ObjectId, most: int) -> bool:
        """Forgets up to `most` likes that one user took back and that owe nothing; whether there were any."""
        over: Document = {"liked": False, "outbox": {"$exists": False}}
        rows = await self._likes.find({"user_id": user_id, **over}, {"_id": 1}, limit=most).to_list()
        await self._likes.delete_many({"_id": {"$in": [row["_id"] for row in rows]}, **over})
        return bool(rows)

    async def by_targets(self, user_id: ObjectId, target_ids: Sequence[ObjectId]) -> list[LikeRecord | None]:
        """One user's likes of these targets, in their order; one operation."""
        rows = await self._likes.find({"target_id": {"$in": list(target_ids)}, "user_id": user_id}).to_list()
        found = {row["target_id"]: readable(LikeRecord, row) for row in rows}
        return [found.get(target_id) for target_id in target_ids]

    async def likers(self, target_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Who likes a target, latest first."""
        query: Document = {"target_id": target_id, "liked": True}
        rows = await find_page(self._likes, query, request.expects(ObjectId), projection={"user_id": 1})
        return cut_page(request, [(row["_id"], row["user_id"]) for row in rows])

    async def pending_counts(self, target_ids: Sequence[ObjectId], session: Session, most: int) -> list[Document]:
        """Likes that their targets' counts do not reflect yet, in the order of the targets."""
        fields = {"target_id": 1, "liked": 1, "counted": 1}
        return await find_pending(self._likes, "target_id", target_ids, Task.COUNT, fields, session, most)

    async def pending_notifications(
        self, target_ids: Sequence[ObjectId], session: Session, most: int
    ) -> list[Document]:
        """Likes that their targets' owners are not told of yet, or that are not taken back, in the order of targets."""
        fields = {"target_id": 1, "user_id": 1, "liked": 1, "notified": 1, "announced": 1}
        return await find_pending(self._likes, "target_id", target_ids, Task.NOTIFY, fields, session, most)

    async def set_counted(self, likes: Sequence[Document], session: Session) -> None:
        """Says that the counts now reflect these likes, read with `owed_counts` in the same transaction."""
        pipeline = [{"$set": {"counted": "$liked"}}, *mark_done(Task.COUNT)]
        await self._after_write([like["_id"] for like in likes], pipeline, session)
        await self._bury([like["_id"] for like in likes if not like["liked"]], session)

    async def set_notified(self, notified: Sequence[ObjectId], missing: Sequence[ObjectId], session: Session) -> None:
        """Says which likes the notification now names, standing ones, and pays the notifying of all of them."""
        yes = {"$set": {"notified": True, "announced": True}}
        await self._after_write(notified, [yes, *mark_done(Task.NOTIFY)], session)
        await self._after_write(missing, [{"$set": {"notified": False}}, *mark_done(Task.NOTIFY)], session)
        await self._bury(missing, session)

    async def latest_notified(self, target_id: ObjectId, most: int, session: Session) -> list[ObjectId]:
        """The latest users that a target's notification names."""
        query = {"target_id": target_id, "liked": True, "notified": True}
        rows = self._likes.find(query, {"user_id": 1}, sort=[("_id", -1)], limit=most, session=session)
        return [row["user_id"] for row in await rows.to_list()]

    async def delete_by_target(self, target_id: ObjectId) -> None:
        """Takes away every like of something deleted. Safe to repeat."""
        await self._likes.delete_many({"target_id": target_id})

    async def _after_write(self, ids: Sequence[ObjectId], pipeline: list[Document], session: Session) -> None:
        if ids:
            await self._likes.update_many({"_id": {"$in": list(ids)}}, pipeline, session=session)

    async def _bury(self, ids: Sequence[ObjectId], session: Session) -> None:
        """Takes away, of these likes, those taken back that owe nothing more; what was announced only after a while."""
        if not ids:
            return
        gone = {"_id": {"$in": list(ids)}, "liked": False, "outbox": {"$exists": False}}
        await self._likes.delete_many({**gone, "announced": {"$ne": True}}, session=session)
        expiry = [{"$set": {"expires_at": {"$add": ["$$NOW", REMEMBERED.total_seconds() * 1000]}}}]
        await self._likes.update_many(gone, expiry, session=session)

    async def _act(self, act: _Act) -> None:
        began, limit = time.monotonic(), time_limit(self._likes)
        try:
            await self._writes.submit(act, limit)
        except _HeldUpError:
            with nullcontext() if limit is None else timeout(max(began + limit - time.monotonic(), 0.001)):
                await self._act_alone(act)

    async def _write(self, acts: Sequence[_Act]) -> list[None]:
        updates = [UpdateOne(act.key, act.pipeline, upsert=act.liked) for act in acts]
        try:
            with timeout(MAX_BATCH_SECONDS):
                written = await self._likes.bulk_write(updates, ordered=False)
        except PyMongoError as error:
            if isinstance(error, BulkWriteError) or error.timeout:
                raise _HeldUpError from error
            raise
        if written.modified_count or written.upserted_count:
            await self._enqueue(acts)
        return [None] * len(acts)

    async def _act_alone(self, act: _Act) -> None:
        if act.liked:
            await upsert(self._likes, act.key, act.pipeline)
        else:
            await self._likes.update_one(act.key, act.pipeline)
        await self._enqueue([act])

    async def _enqueue(self, acts: Sequence[_Act]) -> None:
        """One ring for each target and effect; for a like that was so already it is one too many, and harmless."""
        targets = {act.target_id for act in acts}
        pending = [{"target_id": target_id, "outbox": _TASKS} for target_id in targets]
        await self._job_queue.enqueue(job for fact in pending for job in jobs_of(self._fact, fact))
