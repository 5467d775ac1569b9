"""Who mutes whom."""

from bson import ObjectId

from datasources.graph.cached_relations import GraphWrites
from datasources.mongo.client import Database, Readable
from datasources.mongo.pages import find_page
from datasources.mongo.upserts import upsert
from domain.paging import Page, PageRequest, cut_page


class MuteStore:
    def __init__(self, database: Database, writes: GraphWrites) -> None:
        self._mutes: Readable = database["mutes"]
        self._writes = writes

    async def mute(self, muter_id: ObjectId, muted_id: ObjectId) -> None:
        """Keeps what one user does and posts out of another's feed and notifications. Atomic and safe to repeat."""
        key = {"muter_id": muter_id, "muted_id": muted_id}
        async with self._writes.mutes.invalidating([(muter_id, muted_id)]) as mutes:
            await upsert(mutes, key, [{"$set": {"active": True}}])

    async def unmute(self, muter_id: ObjectId, muted_id: ObjectId) -> None:
        """Ends a mute. Atomic and safe to repeat."""
        async with self._writes.mutes.invalidating([(muter_id, muted_id)]) as mutes:
            await mutes.delete_one({"muter_id": muter_id, "muted_id": muted_id})

    async def muted(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Whom a user mutes, latest first."""
        rows = await find_page(self._mutes, {"muter_id": user_id}, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row["muted_id"]) for row in rows])
