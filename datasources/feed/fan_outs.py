"""Long fan-outs are split into chunks of the author's followers. Each chunk is a fact, so any number of workers share.

A chunk is a span of the author's followers by their ids. It exists until it is done, or until what is left of it takes
its place; a worker leases it for `CHUNK_LEASE`. Before it is split, a fan-out is one fact without a span. The post
records the version it is split for; its fan-out is pending until none of these facts of that version is left.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from bson import ObjectId

from datasources.graph.followers import FollowerStore
from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.transactions import in_transaction
from domain.jobs import JOBS, Fact, Task
from domain.records.record import Stored

CHUNK_LEASE = timedelta(seconds=JOBS[Task.FAN_OUT_CHUNK, Fact.FAN_OUT].seconds)  # its handler times out before it ends
ENQUEUED_AT_ONCE = 1_000  # chunks; the outbox relay enqueues the others
# Of one post, as long as they have no more steps than `MAX_STEPS`. So few wait at once before posts of other authors.
MAX_CHUNKS = 16
MAX_STEPS = 125  # calls for one chunk, so that finding its end is one short walk over index keys


class Chunk(Stored, frozen=True, kw_only=True):
    """One part of a post's fan-out, split at this `version` of it: followers above one, up to the `last`."""

    post_id: ObjectId
    author_id: ObjectId
    version: int
    above: ObjectId | None = None
    last: ObjectId | None = None
    leased_until: datetime | None = None
    pending_since: datetime | None = None  # when the fan-out began


class FanOutStore:
    """The collection `fan_outs`."""

    def __init__(self, database: Database, job_queue: JobQueue, followers: FollowerStore) -> None:
        self._client = database.client
        self._chunks = database["fan_outs"]
        self._posts = database["posts"]
        self._users: Readable = database["users"]
        self._followers = followers
        self._job_queue = job_queue

    async def begin(self, posts: Sequence[Document], now: datetime) -> None:
        """Marks the fan-outs of posts as split, and makes the splitting of each pending.

        Both are written in one transaction. A post that has changed since, or is marked already, is left alone. So it
        is safe to repeat, to stop half way, and beside a duplicate.
        """
        await asyncio.gather(*(self._begin(post, now) for post in posts))

    async def split(self, fan_out_id: ObjectId, step: int, now: datetime) -> None:
        """Replaces a fan-out that has begun by its chunks, in one transaction, and enqueues them. Safe to repeat.

        The chunks have `step` followers, or as many more as make them about `MAX_CHUNKS`, going by the author's
        counter.
        """
        begun = await self._chunks.find_one({"_id": fan_out_id, "outbox": Task.SPLIT_FAN_OUT.value})
        if begun is None:
            return
        author = await self._users.find_one({"_id": begun["author_id"]}, {"follower_count": 1})
        steps = -(-(author or {}).get("follower_count", 0) // (step * MAX_CHUNKS))
        size = step * min(max(1, steps), MAX_STEPS)
        ends = await self._followers.ends_of_chunks(begun["author_id"], size)
        about = {field: begun[field] for field in ("post_id", "author_id", "version")}
        pending = pending_fields([Task.FAN_OUT_CHUNK], now) | {"pending_since": begun["pending_since"]}
        chunks: list[Document] = [
            {"_id": clock.new_id(), **about, "above": above, "last": last, **pending}
            for above, last in pairwise([None, *ends])
        ]

        async def apply(session: Session) -> bool:
            deleted = await self._chunks.delete_one({"_id": fan_out_id}, session=session)
            if deleted.deleted_count and chunks:
                await self._chunks.insert_many(chunks, ordered=False, session=session)
            return bool(deleted.deleted_count)

        if await in_transaction(self._client, apply):
            await self._job_queue.enqueue_pending(Fact.FAN_OUT, chunks[:ENQUEUED_AT_ONCE])
        if not chunks:  # nobody follows any more
            await self.finish_post(begun["post_id"], begun["author_id"], begun["version"])

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

    async def advance_chunk(self, chunk: Chunk, above: ObjectId, now: datetime) -> None:
        """Replaces a chunk of which the followers up to `above` are done by the rest of it, and enqueues that.

        Does nothing if it was replaced meanwhile, so it is safe to repeat. The rest has an id of its own: further
        messages of the chunk find nothing, however many there are. If the queue loses the new one, the relay enqueues
        it after as long as a lease: while many wait, it need not come any sooner.
        """
        rest = {"_id": clock.new_id(), "above": above, "due_at": now + CHUNK_LEASE, "enqueues": 0}

        async def apply(session: Session) -> Document | None:
            query = {"_id": chunk.id, "above": chunk.above}
            before: Document | None = await self._chunks.find_one_and_delete(query, session=session)
            if before is None:
                return None
            kept = {field: before[field] for field in before.keys() - {"leased_until", "dead_lettered"}}
            await self._chunks.insert_one(after := kept | rest, session=session)
            return after

        if (after := await in_transaction(self._client, apply)) is not None:
            await self._job_queue.enqueue_pending(Fact.FAN_OUT, [after])

    async def finish_chunk(self, chunk: Chunk) -> bool:
        """Deletes a chunk that is done; after the last one, marks the post's fan-out done. Safe to repeat.

        Returns whether it was there. If this stops half way, the fan-out stays pending, and `finish_post` marks it.
        """
        deleted = await self._chunks.delete_one({"_id": chunk.id})
        await self.finish_post(chunk.post_id, chunk.author_id, chunk.version)
        return bool(deleted.deleted_count)

    async def finish_post(self, post_id: ObjectId, author_id: ObjectId, version: int) -> bool:
        """Marks the fan-out of a post done that was split at this version; False if a chunk of it is left."""
        if await self._chunks.find_one({"post_id": post_id, "version": version}, {"_id": 1}) is not None:
            return False
        split = {"_id": post_id, "author_id": author_id, "version": version, "split": version}
        await self._posts.update_one(split, mark_done(Task.FAN_OUT))
        return True

    async def _begin(self, post: Document, now: datetime) -> None:
        version = post["version"]
        key = {"_id": post["_id"], "author_id": post["author_id"]}
        query = {**key, "version": version, "outbox": Task.FAN_OUT.value, "split": {"$ne": version}}
        about = {"post_id": post["_id"], "author_id": post["author_id"], "version": version}
        begun = {"_id": clock.new_id(), **about, **pending_fields([Task.SPLIT_FAN_OUT], now)}

        async def apply(session: Session) -> bool:
            marked = await self._posts.update_one(query, {"$set": {"split": version}}, session=session)
            if marked.matched_count:
                await self._chunks.insert_one(begun, session=session)
            return bool(marked.matched_count)

        if await in_transaction(self._client, apply):
            await self._job_queue.enqueue_pending(Fact.FAN_OUT, [begun])
