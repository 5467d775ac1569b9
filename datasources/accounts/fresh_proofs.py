"""When the owner of a session has last proved who they are; opening the session was the first proof."""

from datetime import datetime

from bson import ObjectId

from datasources.mongo.client import Database
from domain.limits import PROOF_FRESH


class FreshProofs:
    """The field `confirmed_at` of the collection `sessions`. A personal access token has none."""

    def __init__(self, database: Database) -> None:
        self._sessions = database["sessions"]

    async def confirm(self, session_id: ObjectId, now: datetime) -> None:
        """Notes a proof. Safe to repeat."""
        query = {"_id": session_id, "personal_hash": {"$exists": False}}
        await self._sessions.update_one(query, {"$set": {"confirmed_at": now}})

    async def is_fresh(self, session_id: ObjectId, now: datetime) -> bool:
        """Whether the last proof is at most `PROOF_FRESH` old, as it is stored."""
        query = {"_id": session_id, "confirmed_at": {"$gt": now - PROOF_FRESH}}
        return await self._sessions.find_one(query, projection={"_id": 1}) is not None
