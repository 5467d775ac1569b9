"""Long fan-outs: the chunks of an author's followers, each a fact of its own, so that any number of workers share them.

A chunk is a span of the author's follows by their ids. It is there until it is done; a worker that takes it has it for
`LEASE`. The post marks the version it was split for, and owes its fan-out until none of that version's chunks is left.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.jobs import JOBS, Fact, Task
from domain.records.follows import FollowState
from domain.records.record import Stored

READ_AT_ONCE = 5_000  # more than a chunk, which comes in one batch
CHUNK_LEASE = timedelta(seconds=JOBS[Task.FAN_OUT_CHUNK, Fact.FAN_OUT].seconds)  # a handler is stopped before it ends
ENQUEUED_AT_ONCE = 1_000  # chunks rung for at once; the sweeper rings for the others


class Span(msgspec.Struct, frozen=True):
    """Some of an author's follows: ids after the one and up to the other, without bounds where None."""

    after: ObjectId | None = None
    upto: ObjectId | None = None


class Chunk(Stored, frozen=True, kw_only=True):
    """One part of a post's fan-out, split at this `version` of the post."""

    post_id: ObjectId
    author_id: ObjectId
    version: int
    after: ObjectId | None
    upto: ObjectId | None
    leased_until: datetime | None = None

    @property
    def span(self) -> Span:
        """The follows it is about."""
        return Span(self.after, self.upto)


class FanOutStore:
    """The collection `fan_outs`, and the followers it divides."""

    def __init__(self, database: Database, job_queue: JobQueue) -> None:
        self._client = database.client
        self._chunks = database["fan_outs"]
        self._posts = database["posts"]
        self._follows = database["follows"]
        self._job_queue = job_queue

    async def followers(self, author_id: ObjectId, span: Span) -> list[ObjectId]:
        """Who follows an author by the follows of a span.

        Who begins to follow meanwhile may be missed; their follow owes its filling.
        """
        query, fields = _of(author_id, span), {"_id": 0, "follower_id": 1}  # of the index alone
        rows = self._follows.find(query, fields, sort=[("_id", 1)], batch_size=READ_AT_ONCE)
        return [row["follower_id"] for row in await rows.to_list()]

    async def followers_by_author(self, author_ids: Collection[ObjectId], most: int) -> dict[ObjectId, list[ObjectId]]:
        """As `followers`, for each of some authors, `most` of them altogether; one operation."""
        query = {"followee_id": {"$in": list(author_ids)}, "state": FollowState.FOLLOWING.value}
        fields = {"_id": 0, "followee_id": 1, "follower_id": 1}  # of the index alone
        rows = self._follows.find(query, fields, limit=most, batch_size=most + 1)
        found: dict[ObjectId, list[ObjectId]] = {author_id: [] for author_id in author_ids}
        for row in await rows.to_list():
            found[row["followee_id"]].append(row["follower_id"])
        return found

    async def split(self, posts: Sequence[Document], most: int, now: datetime) -> None:
        """Splits the fan-outs of posts by one author into chunks of `most` followers and rings for them.

        A post's mark and chunks are written in one transaction; a post that has changed since, or is split already, is
        left alone. So it is safe to repeat, to stop half way and beside a twin.
        """
        ends = await self._ends(posts[0]["author_id"], most)
        await asyncio.gather(*(self._split(post, ends, now) for post in posts))

    async def lease_chunk(self, chunk_id: ObjectId, now: datetime) -> Chunk | None:
        """Takes a chunk for `LEASE`, in one write; None if it is done.

        It is returned as it was before: somebody else has it while its `leased_until` is to come. The sweeper does not
        ring for one that is taken.
        """
        until = now + CHUNK_LEASE
        is_free = {"$lte": [{"$ifNull": ["$leased_until", now]}, now]}
        fields = ("leased_until", "due_at")
        pipeline = [{"$set": {field: {"$cond": [is_free, until, f"${field}"]} for field in fields}}]
        found = await self._chunks.find_one_and_update({"_id": chunk_id}, pipeline)
        return None if found is None else Chunk.from_document(found)

    async def finish_chunk(self, chunk: Chunk) -> None:
        """Takes a chunk away that is done; the last one pays the post's fan-out. Safe to repeat.

        If this stops half way, the post owes still, and `finish` pays.
        """
        await self._chunks.delete_one({"_id": chunk.id})
        await self.finish_post(chunk.post_id, chunk.version)

    async def finish_post(self, post_id: ObjectId, version: int) -> bool:
        """Pays the fan-out of a post that was split at this version and is still the same; False if a chunk is left."""
        if await self._chunks.find_one({"post_id": post_id, "version": version}, {"_id": 1}) is not None:
            return False
        split = {"_id": post_id, "version": version, "split": version}
        await self._posts.update_one(split, mark_done(Task.FAN_OUT))
        return True

    async def _split(self, post: Document, ends: Sequence[ObjectId], now: datetime) -> None:
        version = post["version"]
        about: Document = {"post_id": post["_id"], "author_id": post["author_id"], "version": version}
        chunks: list[Document] = [
            {"_id": clock.new_id(), **about, "after": after, "upto": upto, **pending_fields([Task.FAN_OUT_CHUNK], now)}
            for after, upto in pairwise([None, *ends])
        ]
        unsplit = {"_id": post["_id"], "version": version, "outbox": Task.FAN_OUT.value, "split": {"$ne": version}}

        async def apply(session: Session) -> bool:
            marked = await self._posts.update_one(unsplit, {"$set": {"split": version}}, session=session)
            if marked.matched_count and chunks:
                await self._chunks.insert_many(chunks, ordered=False, session=session)
            return bool(marked.matched_count)

        if await in_transaction(self._client, apply):
            await self._job_queue.enqueue_pending(Fact.FAN_OUT, chunks[:ENQUEUED_AT_ONCE])
        if not chunks:  # nobody follows any more
            await self.finish_post(post["_id"], version)

    async def _ends(self, author_id: ObjectId, most: int) -> list[ObjectId]:
        """The last follow of each chunk: one walk over index keys, and one operation a chunk."""
        ends: list[ObjectId] = []
        while True:
            rest = _of(author_id, Span(after=ends[-1] if ends else None))
            found = await self._follows.find_one(rest, {"_id": 1}, sort=[("_id", 1)], skip=most - 1)
            if found is None:
                break
            ends.append(found["_id"])
        last = await self._follows.find_one(rest, {"_id": 1}, sort=[("_id", -1)])
        return ends if last is None else [*ends, last["_id"]]


def _of(author_id: ObjectId, span: Span) -> Document:
    bounds = {sign: end for sign, end in (("$gt", span.after), ("$lte", span.upto)) if end is not None}
    query: Document = {"followee_id": author_id, "state": FollowState.FOLLOWING.value}
    return {**query, "_id": bounds} if bounds else query
