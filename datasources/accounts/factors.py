"""The factors of accounts, and their passkeys: stored, listed, used, removed."""

from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.factor_changes import FactorChanges
from datasources.mongo.client import Database
from datasources.mongo.lenient_reads import readable
from domain.errors import Refusal, UserErrorCode
from domain.limits import PASSKEYS_MAX
from domain.records.factors import FactorsRecord, PasskeyRecord


class FactorStore:
    """The collection `factors`, which has a document for each account with any factor; all are read by the account."""

    def __init__(self, database: Database, changes: FactorChanges) -> None:
        self._factors = database["factors"]
        self._changes = changes

    async def of_user(self, user_id: ObjectId) -> FactorsRecord:
        """The factors of an account, as they are stored. Those that cannot be read raise: they are not none."""
        document = await self._factors.find_one({"_id": user_id})
        found = FactorsRecord(id=user_id) if document is None else readable(FactorsRecord, document)
        if found is None:
            raise RuntimeError("the factors of an account cannot be read")
        return found

    async def add_passkey(self, user_id: ObjectId, passkey: PasskeyRecord) -> None:
        """Adds a passkey. Atomic. Raises Refusal (NOT_ALLOWED) if the account has it already, or enough."""
        room = {f"passkeys.{PASSKEYS_MAX - 1}": {"$exists": False}}
        is_new = {"passkeys.credential_id": {"$ne": passkey.credential_id}}
        change = {"$push": {"passkeys": passkey.to_document()}}
        try:
            await self._changes.apply(user_id, change, upsert=True, where={**room, **is_new})
        except DuplicateKeyError:
            message = f"The account has this passkey already, or {PASSKEYS_MAX} others."
            raise Refusal(UserErrorCode.NOT_ALLOWED, message) from None

    async def remove_passkey(self, user_id: ObjectId, passkey_id: ObjectId) -> bool:
        """Removes a passkey; False if the account has none of this id. Safe to repeat."""
        return await self._changes.apply(user_id, {"$pull": {"passkeys": {"id": passkey_id}}})

    async def note_use(self, user_id: ObjectId, passkey: PasskeyRecord, sign_count: int, now: datetime) -> bool:
        """Notes that a passkey was used; False if it was removed, or used elsewhere, since it was read."""
        as_read = {"id": passkey.id, "sign_count": passkey.sign_count}
        used = {"passkeys.$.sign_count": sign_count, "passkeys.$.last_used_at": now}
        query = {"_id": user_id, "passkeys": {"$elemMatch": as_read}}
        return (await self._factors.update_one(query, {"$set": used})).matched_count == 1

    async def erase(self, user_id: ObjectId) -> None:
        """Erases all factors of a deleted account. Safe to repeat."""
        await self._factors.delete_one({"_id": user_id})
