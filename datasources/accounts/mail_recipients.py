"""Who gets a mail, decided when it is sent. So a request that asks for a mail tells nobody whether there is an account,
nor does the time that it takes.
"""

from collections.abc import Mapping

import msgspec
from bson import ObjectId
from msgspec.structs import replace

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.accounts.claims import Claimed, ClaimStore
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Readable
from domain.mails import MAILS, MailKind
from domain.records.mails import MailRecord
from domain.records.users import UserState


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Where a mail goes, and whose account it is about, which may be a registration's.

    There is no `username` in mails that others can have sent to any address: a handle may be an address of a web page.
    """

    kind: MailKind
    address: str
    user_id: ObjectId
    language: str | None = None
    username: str | None = None
    counted: Mapping[str, str] = {}


class RecipientStore:
    """Reads `users`, `factors` and `registrations`; it writes nothing."""

    def __init__(self, database: Database, barred: BarredIdentifiers) -> None:
        self._barred = barred
        self._users: Readable = database["users"]
        self._factors: Readable = database["factors"]
        self._registrations: Readable = database["registrations"]
        self._claims = ClaimStore(database)

    async def find(self, mail: MailRecord) -> Recipient | None:
        """Who gets which mail in place of this one; None if there is nobody to send it to."""
        match mail.kind:
            case MailKind.REGISTRATION:
                return await self._registering(mail)
            case MailKind.VERIFY_EMAIL:
                return await self._verifying(mail)
            case MailKind.CONFIRM_REPORT:
                return _of_stranger(mail.kind, {"_id": mail.user_id, "email": mail.to, "language": mail.language})
            case MailKind.PASSWORD_RESET:
                account = await self._holder(mail.to)
                return None if account is None else _of_account(mail.kind, account)
        account = await self._account(mail.user_id)
        if account is None or (MAILS[mail.kind].has_own_words and not _is_verified(account)):
            return None
        counted = await self._counted(account["_id"]) if MAILS[mail.kind].counted else {}
        return replace(_of_account(mail.kind, account, mail.to), counted=counted)

    async def _counted(self, user_id: ObjectId) -> Mapping[str, str]:
        """How many there are of what opens an account beside its password."""
        factors = await self._factors.find_one({"_id": user_id}, {"passkeys.id": 1, "identities.id": 1}) or {}
        return {name: str(len(factors.get(name, ()))) for name in ("passkeys", "identities")}

    async def owner_of_verified(self, address: str) -> ObjectId | None:
        """The account that has this address, and has verified it."""
        account = await self._holder(address)
        return account["_id"] if account is not None and _is_verified(account) else None

    async def _registering(self, mail: MailRecord) -> Recipient | None:
        """Who registers with an address, or if it is an account's, its owner."""
        registration = await self._registration(mail)
        address = mail.to if registration is None else registration["email"]
        account = await self._holder(address)
        if registration is None:
            is_asked_again = mail.user_id is None and account is not None and not _is_verified(account)
            return _of_stranger(MailKind.VERIFY_EMAIL, account) if account and is_asked_again else None
        if account is not None:
            return _of_account(MailKind.ADDRESS_IN_USE, account)
        return _of_stranger(await self._unless_barred(mail.kind, registration["email"]), registration)

    async def _verifying(self, mail: MailRecord) -> Recipient | None:
        """Who has to verify an address, or if it is another account's, its owner."""
        account = await self._account(mail.user_id)
        if account is None:
            return None
        holder = await self._holder(mail.to)
        if holder is not None and holder["_id"] != account["_id"]:
            return _of_account(MailKind.ADDRESS_IN_USE, holder)
        address = mail.to or account["email"]
        kind = mail.kind if holder is not None else await self._unless_barred(mail.kind, address)
        return _of_stranger(kind, {**account, "email": address})

    async def _unless_barred(self, kind: MailKind, address: str) -> MailKind:
        """The kind of mail that an address gets which nobody has yet."""
        is_barred = await self._barred.has(Barred.EMAIL, address.lower())
        return MailKind.ADDRESS_BARRED if is_barred else kind

    async def _registration(self, mail: MailRecord) -> Document | None:
        """The registration that a mail is about, or the latest one with an address."""
        waiting: Document = {"expires_at": {"$gt": clock.now()}}
        if mail.user_id is not None:
            return await self._registrations.find_one({"_id": mail.user_id, **waiting})
        query = {"email_key": (mail.to or "").lower(), **waiting}
        return await self._registrations.find_one(query, sort=[("_id", -1)])

    async def _holder(self, address: str | None) -> Document | None:
        """The account that has an address."""
        key = (address or "").lower()
        return await self._account((await self._claims.find(Claimed.EMAIL, [key])).get(key)) if key else None

    async def _account(self, user_id: ObjectId | None) -> Document | None:
        """An account that is not deleted."""
        query = {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
        return None if user_id is None else await self._users.find_one(query, _FIELDS)


_FIELDS = dict.fromkeys(("username", "email", "email_verified_at", "language"), 1)


def _is_verified(account: Document) -> bool:
    return "email_verified_at" in account


def _of_account(kind: MailKind, account: Document, address: str | None = None) -> Recipient:
    """The owner of an account, at another address than theirs if one is given."""
    return Recipient(
        kind=kind,
        address=address or account["email"],
        user_id=account["_id"],
        language=account.get("language"),
        username=account["username"] if _is_verified(account) else None,
    )


def _of_stranger(kind: MailKind, account: Document) -> Recipient:
    """Who has yet to verify the address of an account or a registration."""
    return Recipient(kind=kind, address=account["email"], user_id=account["_id"], language=account.get("language"))
