"""What is unique among all accounts, each claimed by one of them: handles, addresses, and keys of registrations.

A unique index holds on one shard of a cluster, and `users` is sharded by id. So each of these is the `_id` of a claim.
Claims and account are written in one transaction, and deleted in one: there is never one without the other. A handle or
an address that an account has given up stays claimed by it for a while: `expires_at` says until when. A registration
whose address is not verified yet reserves its handle and its key; `registration_id` says which.

A version before claims had unique indexes of `users` instead, and nothing removes them. While its processes run beside
this one, they refuse what either has taken, and find who has registered at the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from bson import ObjectId
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from datasources.jobs.idempotency import key_reused
from datasources.mongo import clock
from datasources.mongo.client import DUPLICATE_KEY, Database, Document, Readable, Session
from datasources.mongo.copies import copy_into
from domain.errors import Refusal, UserErrorCode

_NO_SUCH_INDEX = 2  # MongoDB's BadValue, for a hint


class Claimed(StrEnum):
    """What can be claimed, and the field of the account that holds it."""

    REGISTRATION = "idempotency_key"
    USERNAME = "username_key"
    EMAIL = "email_key"


class ClaimTaken(Exception):
    """Another account has claimed it."""

    def __init__(self, claimed: Claimed) -> None:
        super().__init__(claimed)
        self.claimed = claimed


class ClaimStore:
    """The collection `claims`. `user_id` says whose a claim is; a deleted account's key of registration has none."""

    def __init__(self, database: Database) -> None:
        self._claims = database["claims"]
        self._users: Readable = database["users"]
        self._may_be_unclaimed = set(Claimed)

    async def make(self, account: Document, session: Session) -> None:
        """Claims what a new account has, within the caller's transaction. Raises ClaimTaken."""
        claims = claims_of(account)
        try:
            await self._claims.insert_many(claims, session=session)
        except BulkWriteError as error:
            (failure,) = error.details["writeErrors"]
            if failure["code"] != DUPLICATE_KEY:
                raise
            raise ClaimTaken(Claimed(claims[failure["index"]]["_id"].partition(":")[0])) from None

    async def reserve(self, registration: Document, session: Session) -> None:
        """Reserves handle and key of a registration, within the caller's transaction. Raises ClaimTaken."""
        for claimed in (Claimed.REGISTRATION, Claimed.USERNAME):
            if claimed not in registration:
                continue
            claim_id = _id(claimed, registration[claimed])
            lapsed: Document = {"registration_id": {"$exists": True}, "expires_at": {"$lte": clock.now()}}
            await self._claims.delete_one({"_id": claim_id, **lapsed}, session=session)
            reserved = {"registration_id": registration["_id"], "expires_at": registration["expires_at"]}
            try:
                await self._claims.insert_one({"_id": claim_id, **reserved}, session=session)
            except DuplicateKeyError:
                raise ClaimTaken(claimed) from None

    async def free_reserved(self, registration: Document, session: Session) -> None:
        """Frees what a registration has reserved, within the caller's transaction."""
        ids = [_id(claimed, registration[claimed]) for claimed in Claimed if claimed in registration]
        await self._claims.delete_many({"_id": {"$in": ids}, "registration_id": registration["_id"]}, session=session)

    async def reserved_by(self, key: str) -> ObjectId | None:
        """The registration that came with this idempotency key and is not completed yet."""
        claim = await self._claims.find_one({"_id": _id(Claimed.REGISTRATION, key)})
        return None if claim is None else claim.get("registration_id")

    async def replace_email(
        self, account: Document, email: str, session: Session, *, kept_until: datetime | None
    ) -> None:
        """Claims another address for an account, within the caller's transaction; it keeps its own until that time.

        Raises ClaimTaken if somebody else has the address, or had it a short while ago.
        """
        old = _of(account, Claimed.EMAIL, account["email_key"])
        await self._claim(_of(account, Claimed.EMAIL, email.lower()), Claimed.EMAIL, session)
        if kept_until is None:
            await self._claims.delete_one(old, session=session)
        else:
            await self._claims.replace_one(old, {**old, "expires_at": kept_until}, upsert=True, session=session)

    async def restore_email(self, account: Document, email: str, session: Session) -> None:
        """Gives an account an address back, as its only one, within the caller's transaction. Raises ClaimTaken."""
        keys = {account["email_key"], *(former["key"] for former in account.get("former_emails", ()))}
        for key in keys - {email.lower()}:
            claim_id = _id(Claimed.EMAIL, key)
            await self._claims.delete_one({"_id": claim_id, "user_id": account["_id"]}, session=session)
        await self._claim(_of(account, Claimed.EMAIL, email.lower()), Claimed.EMAIL, session)

    async def release(self, account: Document, session: Session, *, key_until: datetime) -> None:
        """Frees what a deleted account had, within the caller's transaction; its key of registration stays a while."""
        for claim in (*claims_of(account), *kept_claims_of(account)):
            if claim["_id"].startswith(Claimed.REGISTRATION):
                await self._claims.replace_one(claim, {"_id": claim["_id"], "expires_at": key_until}, session=session)
            else:
                await self._claims.delete_one(claim, session=session)

    async def replace_handle(self, account: Document, handle: str, session: Session, *, kept_until: datetime) -> None:
        """Claims another handle for an account, within the caller's transaction; it keeps its own until that time.

        Raises ClaimTaken if somebody else has the handle, or had it a short while ago.
        """
        old = _of(account, Claimed.USERNAME, account["username_key"])
        await self._claim(_of(account, Claimed.USERNAME, handle), Claimed.USERNAME, session)
        await self._claims.replace_one(old, {**old, "expires_at": kept_until}, upsert=True, session=session)

    async def _claim(self, claim: Document, claimed: Claimed, session: Session) -> None:
        """Makes a claim of an account, or one that it keeps for a while its own again. Raises ClaimTaken."""
        try:
            await self._claims.replace_one(claim, claim, upsert=True, session=session)
        except DuplicateKeyError:
            raise ClaimTaken(claimed) from None

    async def find(self, claimed: Claimed, values: Iterable[str]) -> dict[str, ObjectId | None]:
        """Whose these are, by value; those that nobody has are left out. One operation, none for no values.

        Handles and addresses that an account has given up are its own until they expire.

        In a database of a version before claims it asks a second time for those that nobody has claimed.
        """
        ids = {_id(claimed, value): value for value in values}
        rows = await self._claims.find({"_id": {"$in": list(ids)}}).to_list() if ids else []
        holders: dict[str, ObjectId | None] = {
            ids[row["_id"]]: row.get("user_id") for row in rows if not has_lapsed(row)
        }
        unclaimed = [value for value in ids.values() if value not in holders]
        if unclaimed and claimed in self._may_be_unclaimed:
            holders |= await self._find_unclaimed(claimed, unclaimed)
        return holders

    async def _find_unclaimed(self, claimed: Claimed, values: Sequence[str]) -> dict[str, ObjectId]:
        """Whose these are that an older process has registered; it makes no claims."""
        try:
            rows = await self._users.find(
                {claimed.value: {"$in": list(values)}}, {claimed.value: 1}, hint=[(claimed.value, 1)]
            ).to_list()
        except OperationFailure as error:
            if error.code != _NO_SUCH_INDEX:
                raise
            self._may_be_unclaimed.discard(claimed)  # the database was never an older version's
            return {}
        return {row[claimed]: row["_id"] for row in rows}


def claims_of(account: Document) -> Sequence[Document]:
    """The claims that an account, as it is stored, must have."""
    return [_of(account, claimed, account[claimed]) for claimed in Claimed if claimed in account]


def kept_claims_of(account: Document) -> Sequence[Document]:
    """The claims of what an account has given up; a TTL index removes those that have lapsed."""
    return [
        {**_of(account, claimed, former["key"]), "expires_at": former["until"]}
        for claimed, field in ((Claimed.USERNAME, "former_handles"), (Claimed.EMAIL, "former_emails"))
        for former in account.get(field, ())
    ]


def has_lapsed(claim: Document) -> bool:
    """Whether it is of what its account has given up long ago, or of a registration that nobody completed."""
    is_held = "user_id" in claim or "registration_id" in claim
    return is_held and "expires_at" in claim and claim["expires_at"] <= clock.now()


def to_refusal(error: ClaimTaken | DuplicateKeyError) -> Refusal:
    """What a registration is refused with, also if an older version's index says it. Raises the error of any other."""
    fields = [error.claimed] if isinstance(error, ClaimTaken) else (error.details or {}).get("keyPattern", ())
    if Claimed.REGISTRATION in fields:
        return key_reused()
    if Claimed.USERNAME in fields:
        return Refusal(UserErrorCode.USERNAME_TAKEN, "Another account has this user name.", field=["username"])
    if Claimed.EMAIL in fields:
        return Refusal(UserErrorCode.EMAIL_TAKEN, "Another account has this address.", field=["email"])
    raise error


async def copy_claims(database: Database) -> None:
    """Makes the collection of a database that has accounts and lacks it, as `copy_into` does."""
    fields: Mapping[str, Document] = {
        claimed: {"$cond": [{"$gt": [f"${claimed}", None]}, {"$concat": [f"{claimed}:", f"${claimed}"]}, None]}
        for claimed in Claimed
    }
    stages: list[Document] = [
        {"$match": {"state": {"$ne": "DELETED"}}},
        {"$project": {"claim": [fields[claimed] for claimed in Claimed]}},
        {"$unwind": "$claim"},
        {"$match": {"claim": {"$ne": None}}},
        {"$project": {"_id": "$claim", "user_id": "$_id"}},
    ]
    await copy_into(database, "users", "claims", stages)


def _of(account: Document, claimed: Claimed, value: str) -> Document:
    return {"_id": _id(claimed, value), "user_id": account["_id"]}


def _id(claimed: Claimed, value: str) -> str:
    return f"{claimed}:{value}"
