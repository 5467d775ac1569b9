"""Registrations that wait until somebody verifies their address. Nothing of them tells who has an account.

To register writes the same whether somebody has the address: who gets which mail is decided when it is sent. The handle
is reserved meanwhile, which shows, as handles do, but says nothing of the address.
"""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.accounts.cached_users import UserCache
from datasources.accounts.claims import Claimed, ClaimStore, ClaimTaken, to_refusal
from datasources.accounts.known_devices import DEVICES
from datasources.accounts.mail_tokens import MailToken, MailTokenStore
from datasources.accounts.search_terms import search_fields
from datasources.accounts.users import Credentials
from datasources.jobs.idempotency import Idempotency, key_reused
from datasources.jobs.outbox import pending_fields
from datasources.mail.outbox import MailOutbox
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.search_keys import SEARCH
from datasources.mongo.transactions import in_transaction
from datasources.redis.invalidation import InvalidatingWrites
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Task
from domain.limits import REGISTRATION_LIFE
from domain.mails import MailKind, TokenPurpose
from domain.records.registrations import RegistrationRecord
from domain.records.users import UserState


class RegistrationStore:
    """The collection `registrations`; a TTL index removes those that nobody completes."""

    def __init__(
        self,
        database: Database,
        cache: UserCache,
        mails: MailOutbox,
        tokens: MailTokenStore,
        barred: BarredIdentifiers,
        screening: Sequence[Task],
    ) -> None:
        """`screening` is pending for a new account."""
        self._registrations = database["registrations"]
        self._users = InvalidatingWrites(database["users"], cache.invalidate)
        self._claims = ClaimStore(database)
        self._client = database.client
        self._barred = barred
        self._screening = screening
        self._mails = mails
        self._tokens = tokens

    async def begin(
        self,
        username: str,
        email: str,
        password_hash: str,
        display_name: str,
        language: str | None,
        idempotency: Idempotency | None,
        *,
        registration_id: ObjectId | None = None,
        registered_on: str | None = None,
        **profile: Any,
    ) -> None:
        """Registers, and has a mail sent to the address, whoever has it. Atomic.

        `registration_id` is the id that the account will have, by default a new one. `registered_on` is the hash of a
        token that the device gets.

        Raises Refusal if the handle is taken (USERNAME_TAKEN), or the key (IDEMPOTENCY_KEY_REUSED).
        """
        now, handle = clock.now(), username.lower()
        document: Document = {
            "_id": registration_id or clock.new_id(),
            "username": username,
            "username_key": handle,
            "email": email,
            "email_key": email.lower(),
            "password_hash": password_hash,
            "display_name": display_name,
            "language": language,
            "registered_on": registered_on,
            "created_at": now,
            "expires_at": now + REGISTRATION_LIFE,
            **(idempotency.fields() if idempotency else {}),
            **profile,
        }

        async def apply(session: Session) -> None:
            await self._claims.reserve(document, session)
            if await self._barred.has(Barred.USERNAME, handle, session):
                raise ClaimTaken(Claimed.USERNAME)
            await self._registrations.insert_one(document, session=session)
            await self._mails.add(MailKind.REGISTRATION, user_id=document["_id"], to=email, session=session)

        if handle in await self._claims.find(Claimed.USERNAME, [handle]):
            raise to_refusal(ClaimTaken(Claimed.USERNAME))
        try:
            await in_transaction(self._client, apply)
        except ClaimTaken as error:
            raise to_refusal(error) from None

    async def find_earlier(self, idempotency: Idempotency | None) -> Credentials | None:
        """The registration that came with this key and is not completed yet; the caller checks its password.

        Raises Refusal (IDEMPOTENCY_KEY_REUSED) if it came with other input.
        """
        registration_id = None if idempotency is None else await self._claims.reserved_by(idempotency.key)
        registration = None if registration_id is None else await self.find(registration_id)
        if registration is None or idempotency is None:
            return None
        if registration.idempotency_digest != idempotency.digest:
            raise key_reused()
        return Credentials(registration.id, registration.password_hash)

    async def complete(
        self, token: MailToken, *, registered_on: str | None = None, password_hash: str | None = None
    ) -> bool:
        """Makes the account whose address the token verifies, and uses up the token; in one transaction.

        Its password is the one of `password_hash`. Without one it is that of the registration, whose device must be
        `registered_on`: who has registered with another one's address must not know the password. Raises Refusal
        (IDENTITY_NOT_CONFIRMED) for neither.

        False if there is no such registration (any more). Raises Refusal if another account has got the address
        meanwhile or it is barred (EMAIL_TAKEN), or the token was used (TOKEN_EXPIRED).
        """

        async def apply(session: Session) -> bool:
            query = {"_id": token.user_id, "expires_at": {"$gt": clock.now()}}
            registration = await self._registrations.find_one_and_delete(query, session=session)
            if registration is None:
                return False
            if password_hash is not None:
                registration["password_hash"] = password_hash
            elif registered_on is None or registration.get("registered_on") != registered_on:
                raise _unproven()
            else:
                registration[DEVICES] = [{"hash": registered_on, "used_at": clock.now()}]
            await self._tokens.use(token, session)
            await self._tokens.revoke(token.user_id, TokenPurpose.REGISTRATION, session)
            await self._claims.free_reserved(registration, session)
            account = _account(registration)
            if self._screening:
                account |= pending_fields(self._screening, account["created_at"])
            await self._claims.make(account, session)
            await self._barred.refuse(account, session)
            async with self._users.invalidating([token.user_id], session) as users:
                await users.insert_one(account, session=session)
            return True

        try:
            return await in_transaction(self._client, apply)
        except (ClaimTaken, DuplicateKeyError) as error:
            raise to_refusal(error) from None

    async def find(self, registration_id: ObjectId) -> RegistrationRecord | None:
        """A registration that is not completed yet."""
        query = {"_id": registration_id, "expires_at": {"$gt": clock.now()}}
        registration = await self._registrations.find_one(query)
        return None if registration is None else RegistrationRecord.from_document(registration)


def _unproven() -> Refusal:
    message = "Send the deviceToken that register has answered, or a password for the account."
    return Refusal(UserErrorCode.IDENTITY_NOT_CONFIRMED, message, field=["password"])


def _account(registration: Document) -> Document:
    """The account that a registration becomes."""
    now = clock.now()
    dropped = ("expires_at", "registered_on")
    kept = {name: value for name, value in registration.items() if name not in dropped and value is not None}
    account = {**kept, "created_at": now, "email_verified_at": now, "state": UserState.ACTIVE.value}
    return {**account, SEARCH: search_fields(account)}
