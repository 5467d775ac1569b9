"""Posts, accounts and hashtags that moderators hold out of explore and trends."""

from collections.abc import Iterable
from datetime import datetime

from bson import ObjectId

from datasources.mongo.client import Database
from datasources.mongo.queries import find_ids
from domain.limits import HOLDS_LOGGED
from domain.records.discovery import HeldKind, HoldChange, HoldRecord

IDS_AT_ONCE = 1_000


class HoldStore:
    """The collection `discovery_holds`: a document for each thing that was ever held out, with its log."""

    def __init__(self, database: Database) -> None:
        self._holds = database["discovery_holds"]

    async def put(
        self, target_id: ObjectId, kind: HeldKind, name: str, *, is_held: bool, reason: str, now: datetime
    ) -> None:
        """Holds something out, or lets it in again, with an entry in its log; `name` is how operators call it.

        Atomic. What is repeated is logged again.
        """
        change = HoldChange(is_held=is_held, reason=reason, at=now).to_document()
        changes = {
            "$set": {"kind": kind.value, "name": name, "is_held": is_held},
            "$push": {"log": {"$each": [change], "$slice": -HOLDS_LOGGED}},
        }
        await self._holds.update_one({"_id": target_id}, changes, upsert=True)

    async def held_among(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those of these posts, accounts and topics that are held out; one operation for each `IDS_AT_ONCE` of them."""
        wanted, held = list(set(ids)), set[ObjectId]()
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = wanted[start : start + IDS_AT_ONCE]
            held.update(await find_ids(self._holds, {"_id": {"$in": some}, "is_held": True}))
        return held

    async def latest(self, limit: int, *, released: bool) -> list[HoldRecord]:
        """Up to `limit` things that are held out or, if `released`, were, in the order of their ids; latest first."""
        rows = self._holds.find({"is_held": not released}, sort=[("_id", -1)], limit=limit)
        return [HoldRecord.from_document(row) for row in await rows.to_list()]

    async def erase(self, target_id: ObjectId) -> None:
        """Deletes what is known of a post or an account that is deleted. Safe to repeat."""
        await self._holds.delete_one({"_id": target_id})
