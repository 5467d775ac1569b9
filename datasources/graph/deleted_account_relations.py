"""Removes a deleted account's follows, blocks and mutes, both ways.

Each method takes a bounded number, says whether there were any, and is safe to repeat and to stop half way.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from datasources.graph.cached_relations import GraphWrites
from datasources.graph.follow_writes import STANDING, set_state
from datasources.graph.viewer_relations import both_ways
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable
from domain.jobs import Fact
from domain.records.follows import FollowState


class AccountRelations:
    """The collections `follows`, `blocks` and `mutes`, by one account on either side."""

    def __init__(self, database: Database, job_queue: JobQueue, writes: GraphWrites) -> None:
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._mutes: Readable = database["mutes"]
        self._writes = writes
        self._job_queue = job_queue

    async def end_follows(self, user_id: ObjectId, now: datetime, limit: int) -> bool:
        """Ends follows and requests, as `unfollow` does: others' counts, feeds and notifications are then pending."""
        rows = await _of_user(self._follows, "follower_id", "followee_id", user_id, limit, state={"$in": STANDING})
        if not rows:
            return False
        query = {"_id": {"$in": [row["_id"] for row in rows]}}
        pairs = [pair for row in rows for pair in both_ways(row["follower_id"], row["followee_id"])]
        async with self._writes.follows.invalidating(pairs) as follows:
            await follows.update_many(query, set_state(FollowState.NONE, now, self._job_queue.publishing))
        await self._job_queue.enqueue_pending(Fact.FOLLOW, await self._follows.find(query).to_list())
        return True

    async def delete_blocks(self, user_id: ObjectId, limit: int) -> bool:
        """Deletes blocks. `end_follows` ends the follows that one of them has yet to end."""
        rows = await _of_user(self._blocks, "blocker_id", "blocked_id", user_id, limit)
        pairs = [pair for row in rows for pair in both_ways(row["blocker_id"], row["blocked_id"])]
        async with self._writes.blocks.invalidating(pairs) as blocks:
            await blocks.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        return bool(rows)

    async def delete_mutes(self, user_id: ObjectId, limit: int) -> bool:
        rows = await _of_user(self._mutes, "muter_id", "muted_id", user_id, limit)
        pairs = [(row["muter_id"], row["muted_id"]) for row in rows]
        async with self._writes.mutes.invalidating(pairs) as mutes:
            await mutes.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        return bool(rows)


async def _of_user(
    edges: Readable, source: str, target: str, user_id: ObjectId, limit: int, **where: Mapping[str, Any]
) -> list[Document]:
    either = [{**where, name: user_id} for name in (source, target)]
    return await edges.find({"$or": either}, {source: 1, target: 1}, limit=limit).to_list()
