"""Identities of other services that are linked to accounts: each to one account, and known by a hash.

A unique index holds on one shard only, so a link is a document of its own, whose id is the beginning of the hash. Link
and factor are written in one transaction.
"""

import hashlib
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.accounts.factor_changes import FactorChanges
from datasources.mongo import clock
from datasources.mongo.client import Database, Session
from datasources.mongo.transactions import in_transaction
from domain.errors import Refusal, UserErrorCode
from domain.limits import IDENTITIES_MAX
from domain.records.factors import IdentityRecord


class IdentityStore:
    """The collection `identity_links`, and the identities among an account's `factors`."""

    def __init__(self, database: Database, changes: FactorChanges, barred: BarredIdentifiers) -> None:
        self._barred = barred
        self._users = database["users"]
        self._links = database["identity_links"]
        self._factors = database["factors"]
        self._client = database.client
        self._changes = changes

    async def owner(self, issuer: str, subject: str) -> ObjectId | None:
        """The account that an identity is linked to."""
        key = _key(issuer, subject)
        link = await self._links.find_one({"_id": link_id_of(key), "key": key})
        return None if link is None else ObjectId(link["user_id"])

    async def link(self, user_id: ObjectId, issuer: str, subject: str, now: datetime) -> None:
        """Links an identity to an account. Safe to repeat.

        Raises Refusal (NOT_ALLOWED) if it is linked to another one, or this one has enough.
        """
        key = _key(issuer, subject)
        identity = IdentityRecord(id=clock.new_id(), issuer=issuer, key=key, linked_at=now)

        async def apply(session: Session) -> None:
            await self._links.insert_one({"_id": link_id_of(key), "key": key, "user_id": user_id}, session=session)
            room = {f"identities.{IDENTITIES_MAX - 1}": {"$exists": False}}
            push = {"$push": {"identities": identity.to_document()}}
            if await self._barred.has(Barred.IDENTITY, key, session):
                raise _not_free()
            await self._factors.update_one({"_id": user_id, **room}, push, upsert=True, session=session)
            await self._changes.tell(user_id, session)

        try:
            await in_transaction(self._client, apply)
        except DuplicateKeyError:
            if await self.owner(issuer, subject) != user_id:
                raise _not_free() from None

    async def unlink(self, user_id: ObjectId, identity_id: ObjectId) -> bool:
        """Unlinks an identity; False if the account has none of this id. Atomic, and safe to repeat.

        That of a suspended account is barred, as the account's deletion would bar it.
        """

        async def apply(session: Session) -> bool:
            query = {"_id": user_id, "identities.id": identity_id}
            pull = {"$pull": {"identities": {"id": identity_id}}}
            before = await self._factors.find_one_and_update(query, pull, session=session)
            keys = [each["key"] for each in (before or {}).get("identities", ()) if each["id"] == identity_id]
            for key in keys:
                await self._links.delete_one({"_id": link_id_of(key), "user_id": user_id}, session=session)
            if keys:
                account = await self._users.find_one({"_id": user_id}, session=session)
                await self._barred.add(Barred.IDENTITY, keys, account or {}, session)
                await self._changes.tell(user_id, session)
            return bool(keys)

        return await in_transaction(self._client, apply)

    async def erase(self, user_id: ObjectId) -> None:
        """Frees all identities of a deleted account. Safe to repeat."""
        await self._links.delete_many({"user_id": user_id})


def _not_free() -> Refusal:
    message = f"This identity belongs to another account, or this one has {IDENTITIES_MAX} already."
    return Refusal(UserErrorCode.NOT_ALLOWED, message)


def _key(issuer: str, subject: str) -> bytes:
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).digest()


def link_id_of(key: bytes) -> ObjectId:
    """The id of the link of an identity, by its key."""
    return ObjectId(key[:12])
