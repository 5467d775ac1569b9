"""Long fan-outs are split into chunks of the author's followers. Each chunk is a fact, so any number of workers share.

A chunk is a span of the author's follows by their ids. It exists until it is done; a worker leases it for
`CHUNK_LEASE`. The post records the version it was split for; its fan-out is pending until no chunk of that is left.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from bson import ObjectId

from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.jobs import JOBS, Fact, Task
from domain.records.follows import FollowState
from domain.records.record import Stored

READ_AT_ONCE = 5_000  # more than a chunk, so that a chunk is one read
CHUNK_LEASE = timedelta(seconds=JOBS[Task.FAN_OUT_CHUNK, Fact.FAN_OUT].seconds)  # its handler times out before it ends
ENQUEUED_AT_ONCE = 1_000  # chunks; the outbox relay enqueues the others


class Chunk(Stored, frozen=True, kw_only=True):
    """One part of a post's fan-out, split at this `version` of it: the author's follows after one, up to another."""

    post_id: ObjectId
    author_id: ObjectId
    version: int
    after: ObjectId | None
    upto: ObjectId | None
    leased_until: datetime | None = None


class FanOutStore:
    """The collection `fan_outs`, and the followers that its chunks are about."""

    def __init__(self, database: Database, job_queue: JobQueue) -> None:
        self._client = database.client
        self._chunks = database["fan_outs"]
        self._posts = database["posts"]
        self._follows = database["follows"]
        self._job_queue = job_queue

    async def followers(self, author_id: ObjectId, after: ObjectId | None, upto: ObjectId | None) -> list[ObjectId]:
        """The followers of an author whose follows have ids after `after` and up to `upto`, in the order of these ids.

        Who begins to follow meanwhile may be missing: BACKFILL is pending for that follow.
        """
        query, fields = _of(author_id, after, upto), {"_id": 0, "follower_id": 1}  # of the index alone
        rows = self._follows.find(query, fields, sort=[("_id", 1)], batch_size=READ_AT_ONCE)
        return [row["follower_id"] for row in await rows.to_list()]

    async def followers_by_author(self, author_ids: Collection[ObjectId], limit: int) -> dict[ObjectId, list[ObjectId]]:
        """The followers of each author, at most `limit` of them together; one operation."""
        query = {"followee_id": {"$in": list(author_ids)}, "state": FollowState.FOLLOWING.value}
        fields = {"_id": 0, "followee_id": 1, "follower_id": 1}  # of the index alone
        rows = self._follows.find(query, fields, limit=limit, batch_size=limit + 1)
        followers: dict[ObjectId, list[ObjectId]] = {author_id: [] for author_id in author_ids}
        for row in await rows.to_list():
            followers[row["followee_id"]].append(row["follower_id"])
        return followers

    async def split(self, posts: Sequence[Document], chunk_size: int, now: datetime) -> None:
        """Splits the fan-outs of posts by one author into chunks of `chunk_size` followers, and enqueues them.

        A post's mark and chunks are written in one transaction. A post that has changed since, or is split already, is
        left alone. So it is safe to repeat, to stop half way, and beside a duplicate.
        """
        ends = await self._ends(posts[0]["author_id"], chunk_size)
        await asyncio.gather(*(self._split(post, ends, now) for post in posts))

    async def lease_chunk(self, chunk_id: ObjectId, now: datetime) -> Chunk | None:
        """Leases a chunk for `CHUNK_LEASE`, in one write; None if it is done.

        Returns the chunk as it was before: while its `leased_until` is in the future, another worker has it. The relay
        does not enqueue a chunk that is leased.
        """
        until = now + CHUNK_LEASE
        is_free = {"$lte": [{"$ifNull": ["$leased_until", now]}, now]}
        fields = ("leased_until", "due_at")
        pipeline = [{"$set": {field: {"$cond": [is_free, until, f"${field}"]} for field in fields}}]
        document = await self._chunks.find_one_and_update({"_id": chunk_id}, pipeline)
        return None if document is None else Chunk.from_document(document)

    async def finish_chunk(self, chunk: Chunk) -> None:
        """Deletes a chunk that is done; after the last one, marks the post's fan-out done. Safe to repeat.

        If this stops half way, the fan-out stays pending, and `finish_post` marks it.
        """
        await self._chunks.delete_one({"_id": chunk.id})
        await self.finish_post(chunk.post_id, chunk.version)

    async def finish_post(self, post_id: ObjectId, version: int) -> bool:
        """Marks the fan-out of a post done that was split at this version; False if a chunk of it is left."""
        if await self._chunks.find_one({"post_id": post_id, "version": version}, {"_id": 1}) is not None:
            return False
        await self._posts.update_one({"_id": post_id, "version": version, "split": version}, mark_done(Task.FAN_OUT))
        return True

    async def _split(self, post: Document, ends: Sequence[ObjectId], now: datetime) -> None:
        version = post["version"]
        about: Document = {"post_id": post["_id"], "author_id": post["author_id"], "version": version}
        chunks: list[Document] = [
            {"_id": clock.new_id(), **about, "after": after, "upto": upto, **pending_fields([Task.FAN_OUT_CHUNK], now)}
            for after, upto in pairwise([None, *ends])
        ]
        query = {"_id": post["_id"], "version": version, "outbox": Task.FAN_OUT.value, "split": {"$ne": version}}

        async def apply(session: Session) -> bool:
            marked = await self._posts.update_one(query, {"$set": {"split": version}}, session=session)
            if marked.matched_count and chunks:
                await self._chunks.insert_many(chunks, ordered=False, session=session)
            return bool(marked.matched_count)

        if await in_transaction(self._client, apply):
            await self._job_queue.enqueue_pending(Fact.FAN_OUT, chunks[:ENQUEUED_AT_ONCE])
        if not chunks:  # nobody follows any more
            await self.finish_post(post["_id"], version)

    async def _ends(self, author_id: ObjectId, chunk_size: int) -> list[ObjectId]:
        """The last follow of each chunk: one walk over index keys, and one operation a chunk."""
        ends, rest = list[ObjectId](), _of(author_id)
        while follow := await self._follows.find_one(rest, {"_id": 1}, sort=[("_id", 1)], skip=chunk_size - 1):
            ends.append(follow["_id"])
            rest = _of(author_id, after=follow["_id"])
        last = await self._follows.find_one(rest, {"_id": 1}, sort=[("_id", -1)])
        return ends if last is None else [*ends, last["_id"]]


def _of(author_id: ObjectId, after: ObjectId | None = None, upto: ObjectId | None = None) -> Document:
    bounds = {sign: end for sign, end in (("$gt", after), ("$lte", upto)) if end is not None}
    query: Document = {"followee_id": author_id, "state": FollowState.FOLLOWING.value}
    return {**query, "_id": bounds} if bounds else query
