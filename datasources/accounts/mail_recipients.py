"""Who gets a mail, decided when it is sent. So a request that asks for a mail tells nobody whether there is an account,
nor does the time that it takes.
"""

import msgspec
from bson import ObjectId

from datasources.accounts.claims import Claimed, ClaimStore
from datasources.mongo.client import Database, Document, Readable
from domain.mails import MailKind
from domain.records.mails import MailRecord
from domain.records.users import UserState


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Where a mail goes, and whose account it is about."""

    kind: MailKind
    address: str
    language: str | None = None
    user_id: ObjectId | None = None
    username: str | None = None


class RecipientStore:
    """Reads `users`; it writes nothing."""

    def __init__(self, database: Database) -> None:
        self._users: Readable = database["users"]
        self._claims = ClaimStore(database)

    async def find(self, mail: MailRecord) -> Recipient | None:
        """Who gets a mail; None if there is nobody to send it to."""
        user_id = mail.user_id
        if mail.kind is MailKind.PASSWORD_RESET and mail.to is not None:
            user_id = (await self._claims.find(Claimed.EMAIL, [mail.to.lower()])).get(mail.to.lower())
        account = await self._account(user_id)
        if account is None:
            return None
        return Recipient(
            kind=mail.kind,
            address=account["email"] if mail.kind is MailKind.PASSWORD_RESET else mail.to or account["email"],
            language=mail.language or account.get("language"),
            user_id=account["_id"],
            username=account["username"],
        )

    async def _account(self, user_id: ObjectId | None) -> Document | None:
        """An account that is not deleted."""
        query = {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
        return None if user_id is None else await self._users.find_one(query, _FIELDS)


_FIELDS = dict.fromkeys(("username", "email", "language"), 1)
