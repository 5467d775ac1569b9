"""Untying an account that is deleted from everybody else: its follows, blocks and mutes, both ways.

Each verb takes a bounded number, says whether there were any, and is safe to repeat and to stop half way.
"""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from datasources.graph.cached_relations import GraphWrites
from datasources.graph.follow_slots import becoming
from datasources.graph.relations import both_ways
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable
from domain.jobs import Fact, jobs_of
from domain.records.follows import FollowState

_STANDING = {"$in": [FollowState.FOLLOWING.value, FollowState.REQUESTED.value]}


class AccountRelations:
    """The collections `follows`, `blocks` and `mutes`, by one account on either side."""

    def __init__(self, database: Database, job_queue: JobQueue, writes: GraphWrites) -> None:
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._mutes: Readable = database["mutes"]
        self._writes = writes
        self._job_queue = job_queue

    async def end_follows(self, user_id: ObjectId, now: datetime, most: int) -> bool:
        """Ends follows and requests, as `unfollow` does: others' counts, feeds and notifications are then owed."""
        found = await _either(self._follows, "follower_id", "followee_id", user_id, most, {"state": _STANDING})
        if not found:
            return False
        some = {"_id": {"$in": [row["_id"] for row in found]}}
        pairs = [pair for row in found for pair in both_ways(row["follower_id"], row["followee_id"])]
        async with self._writes.follows.invalidating(pairs) as follows:
            await follows.update_many(some, becoming(FollowState.NONE, now))
        pending = await self._follows.find(some).to_list()
        await self._job_queue.enqueue({job for document in pending for job in jobs_of(Fact.FOLLOW, document)})
        return True

    async def delete_blocks(self, user_id: ObjectId, most: int) -> bool:
        """Takes blocks away; the following that one of them has yet to end is ended with all the other."""
        found = await _either(self._blocks, "blocker_id", "blocked_id", user_id, most)
        pairs = [pair for row in found for pair in both_ways(row["blocker_id"], row["blocked_id"])]
        async with self._writes.blocks.invalidating(pairs) as blocks:
            await blocks.delete_many({"_id": {"$in": [row["_id"] for row in found]}})
        return bool(found)

    async def delete_mutes(self, user_id: ObjectId, most: int) -> bool:
        """Takes mutes away."""
        found = await _either(self._mutes, "muter_id", "muted_id", user_id, most)
        pairs = [(row["muter_id"], row["muted_id"]) for row in found]
        async with self._writes.mutes.invalidating(pairs) as mutes:
            await mutes.delete_many({"_id": {"$in": [row["_id"] for row in found]}})
        return bool(found)


async def _either(
    edges: Readable, one: str, other: str, user_id: ObjectId, most: int, where: Document | None = None
) -> Sequence[Document]:
    """Edges from and to a user."""
    ends: list[Document] = [{**(where or {}), name: user_id} for name in (one, other)]
    return await edges.find({"$or": ends}, {one: 1, other: 1}, limit=most).to_list()
