"""How much an account has saved: counters that change in the transactions that change what they count."""

from bson import ObjectId

from datasources.mongo.client import Database, Document, Session
from domain.errors import Refusal, UserErrorCode
from domain.limits import COLLECTIONS_MAX, SAVES_MAX


class SaverStore:
    """The collection `savers`: one document for each account that has ever saved anything.

    Each save and collection more or less writes its document, so concurrent transactions that change the counters of
    one account conflict there, and run one after the other. So the limits are exact.
    """

    def __init__(self, database: Database) -> None:
        self._savers = database["savers"]

    async def add_save(self, saver_id: ObjectId, session: Session) -> None:
        """Counts one saved post more. Raises Refusal (TOO_MANY_SAVES), which undoes the transaction."""
        if (await self._increment(saver_id, "save_count", 1, session))["save_count"] > SAVES_MAX:
            message = f"One can save {SAVES_MAX:,} posts at most."
            raise Refusal(UserErrorCode.TOO_MANY_SAVES, message, field=["postId"])

    async def remove_saves(self, saver_id: ObjectId, number: int, session: Session) -> None:
        """Counts so many saved posts less."""
        await self._increment(saver_id, "save_count", -number, session)

    async def add_collection(self, saver_id: ObjectId, session: Session) -> None:
        """Counts one collection more. Raises Refusal (TOO_MANY_COLLECTIONS), which undoes the transaction."""
        if (await self._increment(saver_id, "collection_count", 1, session))["collection_count"] > COLLECTIONS_MAX:
            message = f"One can have {COLLECTIONS_MAX} collections at most."
            raise Refusal(UserErrorCode.TOO_MANY_COLLECTIONS, message)

    async def remove_collection(self, saver_id: ObjectId, session: Session) -> None:
        """Counts one collection less."""
        await self._increment(saver_id, "collection_count", -1, session)

    async def erase(self, saver_id: ObjectId) -> None:
        """Deletes the counters of a deleted account. Safe to repeat."""
        await self._savers.delete_one({"_id": saver_id})

    async def _increment(self, saver_id: ObjectId, field: str, by: int, session: Session) -> Document:
        document = await self._savers.find_one_and_update(
            {"_id": saver_id}, {"$inc": {field: by}}, upsert=True, return_document=True, session=session
        )
        assert document is not None  # noqa: S101  an upsert always returns a document
        return document
