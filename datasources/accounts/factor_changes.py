"""Changes of an account's factors, each told to its owner by mail."""

from typing import Any

from bson import ObjectId

from datasources.mail.outbox import MailOutbox
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.mails import MailKind


class FactorChanges:
    """Writes to the collection `factors`."""

    def __init__(self, database: Database, mails: MailOutbox) -> None:
        self._factors = database["factors"]
        self._client = database.client
        self._mails = mails

    async def apply(
        self, user_id: ObjectId, change: Document, *, upsert: bool = False, where: dict[str, Any] | None = None
    ) -> bool:
        """Changes the factors of an account if they are as `where` says, and adds the mail, in one transaction.

        False if nothing changed. With `upsert` it makes the document of the first factor, and raises DuplicateKeyError
        if there is one that is not as `where` says.
        """

        async def work(session: Session) -> bool:
            query = {"_id": user_id, **(where or {})}
            done = await self._factors.update_one(query, change, upsert=upsert, session=session)
            has_changed = bool(done.modified_count or done.upserted_id)
            if has_changed:
                await self.tell(user_id, session)
            return has_changed

        return await in_transaction(self._client, work)

    async def tell(self, user_id: ObjectId, session: Session | None = None) -> None:
        """Has the account told by mail that the ways to log in have changed."""
        await self._mails.add(MailKind.FACTORS_CHANGED, user_id=user_id, session=session)

    async def tell_of_reset(self, user_id: ObjectId, session: Session) -> None:
        """Has the account told by mail that all its factors were removed, within the caller's transaction."""
        await self._mails.add(MailKind.FACTORS_RESET, user_id=user_id, session=session)

    async def tell_of_wrong_codes(self, user_id: ObjectId) -> None:
        """Has the account told by mail that somebody guesses its codes."""
        await self._mails.add(MailKind.WRONG_CODES, user_id=user_id)
