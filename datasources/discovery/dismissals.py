"""Which suggestions an account has dismissed: one document for each account."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Database, Document
from datasources.mongo.queries import find_ids
from datasources.mongo.upserts import upsert
from domain.limits import DISMISSALS_MAX


class DismissalStore:
    """The collection `dismissed_suggestions`: {_id: account, user_ids: latest first}."""

    def __init__(self, database: Database) -> None:
        self._accounts = database["dismissed_suggestions"]

    async def dismiss(self, user_id: ObjectId, dismissed_id: ObjectId) -> None:
        """Notes that an account wants no suggestion of another; the latest `DISMISSALS_MAX` are kept.

        Atomic and safe to repeat.
        """
        before: Document = {"$ifNull": ["$user_ids", []]}
        after = {"$slice": [{"$concatArrays": [[dismissed_id], before]}, DISMISSALS_MAX]}
        changes = {"$set": {"user_ids": {"$cond": [{"$in": [dismissed_id, before]}, before, after]}}}
        await upsert(self._accounts, {"_id": user_id}, [changes])

    async def of_account(self, user_id: ObjectId) -> list[ObjectId]:
        """Whom an account has dismissed, latest first; one read by id."""
        account = await self._accounts.find_one({"_id": user_id})
        return [] if account is None else list(account["user_ids"])

    async def correct(self, user_id: ObjectId) -> None:
        """Corrects what an account has dismissed, unless it changes meanwhile; for repairs. Safe to repeat."""
        user_ids = await self.of_account(user_id)
        changes = {"$set": {"user_ids": remembered(user_id, user_ids)}}
        await self._accounts.update_one({"_id": user_id, "user_ids": user_ids}, changes)

    async def erase(self, user_id: ObjectId, limit: int) -> bool:
        """Deletes what a user has dismissed, and the user from what up to `limit` others have; whether there were any.

        Safe to repeat.
        """
        await self._accounts.delete_one({"_id": user_id})
        ids = await find_ids(self._accounts, {"user_ids": user_id}, limit=limit)
        await self._accounts.update_many({"_id": {"$in": ids}}, {"$pull": {"user_ids": user_id}})
        return bool(ids)


def remembered(user_id: ObjectId, user_ids: Sequence[ObjectId]) -> list[ObjectId]:
    """Those of these, latest first, that an account can have dismissed: others, each once, the latest."""
    return [each for each in dict.fromkeys(user_ids) if each != user_id][:DISMISSALS_MAX]
