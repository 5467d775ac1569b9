"""Who blocks whom."""

from datetime import datetime

from bson import ObjectId

from datasources.graph.cached_relations import GraphWrites
from datasources.graph.follow_writes import set_state
from datasources.graph.viewer_relations import both_ways
from datasources.jobs.outbox import change, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.pages import find_page
from datasources.mongo.transactions import in_transaction
from datasources.mongo.upserts import upsert
from domain.jobs import Fact, Task
from domain.paging import Page, PageRequest, cut_page
from domain.records.follows import FollowState


class BlockStore:
    """The collection `blocks`. A block is a fact: it stays pending until the two no longer follow each other."""

    def __init__(self, database: Database, job_queue: JobQueue, writes: GraphWrites) -> None:
        self._client = database.client
        self._blocks: Readable = database["blocks"]
        self._writes = writes
        self._job_queue = job_queue

    async def block(self, blocker_id: ObjectId, blocked_id: ObjectId, *, now: datetime) -> None:
        """Hides two users from each other and ends their follows. Safe to repeat.

        One write hides them and makes the end of the follows pending: if this stops half way, a worker ends them.
        """
        pipeline = change({"active": True}, [Task.REMOVE_FOLLOWS], now, watched="active")
        async with self._writes.blocks.invalidating(both_ways(blocker_id, blocked_id)) as blocks:
            document = await upsert(blocks, {"blocker_id": blocker_id, "blocked_id": blocked_id}, pipeline)
        if "outbox" in document:
            await self.remove_follows(document["_id"], now)

    async def unblock(self, blocker_id: ObjectId, blocked_id: ObjectId, *, now: datetime) -> None:
        """Ends a block, and the follows that a worker has not ended yet. Atomic and safe to repeat."""

        async def apply(session: Session) -> list[Document]:
            pair = {"blocker_id": blocker_id, "blocked_id": blocked_id}
            async with self._writes.blocks.invalidating(both_ways(blocker_id, blocked_id), session) as blocks:
                block = await blocks.find_one_and_delete(pair, session=session)
            return [] if block is None else await self._end_follows(block, now, session)

        await self._job_queue.enqueue_pending(Fact.FOLLOW, await in_transaction(self._client, apply))

    async def remove_follows(self, block_id: ObjectId, now: datetime) -> None:
        """Ends the follows between the two users of a block for which that is pending. Safe to repeat.

        Atomic, so it touches no follow that began after an unblock.
        """

        async def apply(session: Session) -> list[Document]:
            pending = {"_id": block_id, "outbox": Task.REMOVE_FOLLOWS.value}
            block = await self._writes.blocks.uncached.find_one_and_update(
                pending, mark_done(Task.REMOVE_FOLLOWS), session=session
            )
            return [] if block is None else await self._end_follows(block, now, session)

        await self._job_queue.enqueue_pending(Fact.FOLLOW, await in_transaction(self._client, apply))

    async def blocked(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Whom a user blocks, latest first."""
        rows = await find_page(self._blocks, {"blocker_id": user_id}, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row["blocked_id"]) for row in rows])

    async def _end_follows(self, block: Document, now: datetime, session: Session) -> list[Document]:
        """Ends the follows between two users within the caller's transaction; returns them as they are now."""
        pairs, pipeline = (
            both_ways(block["blocker_id"], block["blocked_id"]),
            set_state(FollowState.NONE, now, self._job_queue.publishing),
        )
        async with self._writes.follows.invalidating(pairs, session) as follows:
            documents = [
                await follows.find_one_and_update(
                    {"follower_id": follower_id, "followee_id": followee_id},
                    pipeline,
                    return_document=True,
                    session=session,
                )
                for follower_id, followee_id in pairs
            ]
        return [document for document in documents if document is not None]
