"""Removing what opens an account beside its password, at once: after a theft, or for an owner who has lost it."""

from bson import ObjectId

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.accounts.factor_changes import FactorChanges
from datasources.accounts.known_devices import DEVICES
from datasources.accounts.linked_identities import link_id_of
from datasources.accounts.sessions import SessionStore
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.records.users import UserState


class FactorRemoval:
    """Removes from the collections `factors` and `identity_links`."""

    def __init__(
        self, database: Database, sessions: SessionStore, changes: FactorChanges, barred: BarredIdentifiers
    ) -> None:
        self._factors = database["factors"]
        self._links = database["identity_links"]
        self._users = database["users"]
        self._client = database.client
        self._sessions = sessions
        self._changes = changes
        self._barred = barred

    async def remove_other_ways(self, account: Document, session: Session) -> None:
        """Removes passkeys and linked identities of an account, within the caller's transaction. Safe to repeat.

        One-time codes stay: who can read the mails of an account must not get in by that alone.
        """
        await self._unlink(account, session)
        change = {"$unset": {"passkeys": "", "identities": ""}}
        await self._factors.update_one({"_id": account["_id"]}, change, session=session)

    async def reset(self, user_id: ObjectId) -> bool:
        """Removes all factors of an account, ends its sessions and tokens, and tells it by mail; in one transaction.

        No device is known any more, and the password alone logs in. Safe to repeat. False if there is no such account.
        """

        async def apply(session: Session) -> bool:
            query = {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
            account = await self._users.find_one_and_update(query, {"$unset": {DEVICES: ""}}, session=session)
            if account is None:
                return False
            await self._unlink(account, session)
            await self._factors.delete_one({"_id": user_id}, session=session)
            await self._sessions.end_others(user_id, None, session)
            await self._changes.tell_of_reset(user_id, session)
            return True

        if not await in_transaction(self._client, apply):
            return False
        # Again: a login by a factor that is gone may have opened its session since the transaction has read.
        await self._sessions.end_others(user_id, None)
        return True

    async def _unlink(self, account: Document, session: Session) -> None:
        """Frees the identities of an account; those of a suspended one are barred."""
        factors = await self._factors.find_one({"_id": account["_id"]}, {"identities.key": 1}, session=session)
        keys = [each["key"] for each in (factors or {}).get("identities", ())]
        for key in keys:
            await self._links.delete_one({"_id": link_id_of(key), "user_id": account["_id"]}, session=session)
        await self._barred.add(Barred.IDENTITY, keys, account, session)
