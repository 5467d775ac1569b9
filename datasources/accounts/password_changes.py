"""Changing the password of an account, which ends its sessions."""

import msgspec
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers, verified_addresses
from datasources.accounts.claims import ClaimStore, ClaimTaken, to_refusal
from datasources.accounts.factor_removal import FactorRemoval
from datasources.accounts.known_devices import DEVICES
from datasources.accounts.mail_tokens import MailToken, MailTokenStore
from datasources.accounts.sessions import SessionStore
from datasources.mail.outbox import MailOutbox
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.mails import MailKind, TokenPurpose
from domain.records.users import UserState


class CurrentPassword(msgspec.Struct, frozen=True):
    """What a password is checked against, and what a new one may not be."""

    password_hash: str
    names: tuple[str, ...]
    email: str


class PasswordChanges:
    """The field `password_hash` of `users`, which no cached value shows."""

    def __init__(
        self,
        database: Database,
        sessions: SessionStore,
        mails: MailOutbox,
        tokens: MailTokenStore,
        factors: FactorRemoval,
        barred: BarredIdentifiers,
    ) -> None:
        self._barred = barred
        self._claims = ClaimStore(database)
        self._factors = factors
        self._users = database["users"]
        self._client = database.client
        self._sessions = sessions
        self._mails = mails
        self._tokens = tokens

    async def current(self, user_id: ObjectId | None) -> CurrentPassword | None:
        """The password of an account, also of a suspended one; None if it is deleted."""
        user = await self._users.find_one(_existing(user_id), _FIELDS)
        if user is None:
            return None
        email = str(user["email"])
        return CurrentPassword(user["password_hash"], (user["username"], email, email.partition("@")[0]), email)

    async def change(
        self,
        user_id: ObjectId,
        new_hash: str,
        *,
        old_hash: str | None = None,
        token: MailToken | None = None,
        kept_session: ObjectId | None = None,
        removes_other_ways: bool = False,
    ) -> bool:
        """Sets a new password, ends all sessions but the kept one, and tells the account by mail; in one transaction.

        No device is known any more.

        With `old_hash` only if that is still the password. It uses up the `token` and ends all others that would set a
        password or another address, for which somebody may have asked who knew the old password. False, with no change,
        if the account is deleted or has another password. Raises Refusal (TOKEN_EXPIRED) if the token was used
        meanwhile. Whoever has the token of a mail has verified the address.

        With a token of an address that the account had (EMAIL_UNDO) it has that address again, and no other is kept.
        False then, too, if the address is not kept any more; raises Refusal (EMAIL_TAKEN) if another account has it.
        `removes_other_ways` removes passkeys and linked identities.
        """
        fields: Document = {"password_hash": new_hash, **({"email_verified_at": clock.now()} if token else {})}
        query = _existing(user_id)
        if old_hash is not None:
            query["password_hash"] = old_hash
        is_undo = token is not None and token.purpose is TokenPurpose.EMAIL_UNDO
        if token is not None and is_undo:
            key = token.email.lower()
            fields |= {"email": token.email, "email_key": key, "former_emails": []}
            query["former_emails"] = {"$elemMatch": {"key": key, "until": {"$gt": clock.now()}}}

        async def apply(session: Session) -> bool:
            changes = {"$set": fields, "$unset": {DEVICES: ""}}
            account = await self._users.find_one_and_update(query, changes, session=session)
            if account is None:
                return False
            if token is not None:
                await self._tokens.use(token, session)
            if token is not None and is_undo:
                await self._claims.restore_email(account, token.email, session)
                given_up = {*verified_addresses(account)} - {token.email.lower()}
                await self._barred.add(Barred.EMAIL, given_up, account, session)
                await self._tokens.revoke(user_id, TokenPurpose.EMAIL_UNDO, session)
                await self._mails.add(MailKind.EMAIL_RESTORED, user_id=user_id, to=account["email"], session=session)
            if removes_other_ways:
                await self._factors.remove_other_ways(account, session)
            await self._tokens.revoke(user_id, TokenPurpose.PASSWORD_RESET, session)
            await self._tokens.revoke(
                user_id, TokenPurpose.EMAIL, session, kept_email=fields.get("email", account["email"])
            )
            await self._mails.withdraw(MailKind.VERIFY_EMAIL, user_id, session)
            await self._sessions.end_others(user_id, kept_session, session)
            await self._mails.add(MailKind.PASSWORD_CHANGED, user_id=user_id, session=session)
            return True

        try:
            if not await in_transaction(self._client, apply):
                return False
        except (ClaimTaken, DuplicateKeyError) as error:
            raise to_refusal(error) from None
        # Again: a login with the old password may have opened its session since the transaction has read.
        await self._sessions.end_others(user_id, kept_session)
        return True


_FIELDS = dict.fromkeys(("password_hash", "username", "email"), 1)


def _existing(user_id: ObjectId | None) -> Document:
    return {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
