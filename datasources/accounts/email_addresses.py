"""The addresses of accounts: whether they are verified, and changing them."""

from datetime import timedelta

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.accounts.claims import Claimed, ClaimStore, ClaimTaken, to_refusal
from datasources.accounts.mail_tokens import MailToken, MailTokenStore
from datasources.mail.outbox import MailOutbox
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.errors import Refusal, UserErrorCode
from domain.limits import EMAIL_CHANGES_MAX, EMAIL_UNDO_DAYS
from domain.mails import MailKind, TokenPurpose
from domain.records.users import UserState

KEPT = timedelta(days=EMAIL_UNDO_DAYS)
MAX_REMEMBERED = 10_000  # accounts; when there are more, they are looked up again


class EmailStore:
    """The fields `email`, `email_key` and `email_verified_at` of `users`, which no cached value shows."""

    def __init__(
        self, database: Database, mails: MailOutbox, tokens: MailTokenStore, barred: BarredIdentifiers
    ) -> None:
        self._barred = barred
        self._users = database["users"]
        self._claims = ClaimStore(database)
        self._client = database.client
        self._mails = mails
        self._tokens = tokens
        self._verified: set[ObjectId] = set()

    async def is_verified(self, user_id: ObjectId) -> bool:
        """Whether the address of an account is verified. Once it is, it stays so, and is not looked up again."""
        if user_id in self._verified:
            return True
        query: Document = {"_id": user_id, "email_verified_at": {"$type": "date"}}
        if await self._users.find_one(query, {"_id": 1}) is None:
            return False
        if len(self._verified) >= MAX_REMEMBERED:
            self._verified.clear()
        self._verified.add(user_id)
        return True

    async def language_of(self, user_id: ObjectId) -> str | None:
        """The language of an account's mails, if it has chosen one."""
        user = await self._users.find_one({"_id": user_id}, {"language": 1})
        return None if user is None else user.get("language")

    async def verify(self, token: MailToken) -> bool:
        """Gives the account the address that the token verifies, and uses up the token; in one transaction.

        If that is another address than before, the old one gets a mail, and tokens that were sent there end. If the old
        one was verified, it stays claimed for `KEPT`, and its mail has a token that puts it back. False if the account
        is deleted. Raises Refusal if another account has the address or it is barred (EMAIL_TAKEN), the address has
        changed too often (QUOTA_EXCEEDED), or the token was used (TOKEN_EXPIRED).
        """
        query: Document = {"_id": token.user_id, "state": {"$ne": UserState.DELETED.value}}
        email = {"email": token.email, "email_key": token.email.lower(), "email_verified_at": clock.now()}

        async def apply(session: Session) -> bool:
            account = await self._users.find_one_and_update(query, {"$set": email}, session=session)
            if account is None:
                return False
            await self._tokens.use(token, session)
            await self._tokens.revoke(token.user_id, TokenPurpose.EMAIL, session)
            if account["email_key"] != email["email_key"]:
                await self._replace(account, token.email, session)
            return True

        try:
            return await in_transaction(self._client, apply)
        except (ClaimTaken, DuplicateKeyError) as error:
            raise to_refusal(error) from None

    async def _replace(self, account: Document, email: str, session: Session) -> None:
        """What goes with another address of an account, which is given as it was before. Raises ClaimTaken."""
        user_id, key, now = account["_id"], email.lower(), clock.now()
        kept = [each for each in account.get("former_emails", ()) if each["until"] > now]
        former = [each for each in kept if each["key"] != key]
        if former == kept and await self._barred.has(Barred.EMAIL, key, session):
            raise ClaimTaken(Claimed.EMAIL)
        if len(former) >= EMAIL_CHANGES_MAX:
            message = f"An address can change {EMAIL_CHANGES_MAX} times in {EMAIL_UNDO_DAYS} days."
            raise Refusal(UserErrorCode.QUOTA_EXCEEDED, message, field=["email"], resets_at=former[0]["until"])
        was_verified = "email_verified_at" in account
        until = now + KEPT if was_verified else None
        if was_verified:
            former.append({"key": account["email_key"], "until": until})
        await self._users.update_one({"_id": user_id}, {"$set": {"former_emails": former}}, session=session)
        await self._claims.replace_email(account, email, session, kept_until=until)
        if was_verified:
            await self._barred.add(Barred.EMAIL, [account["email_key"]], account, session)
        await self._tokens.revoke(user_id, TokenPurpose.PASSWORD_RESET, session)
        kind = MailKind.EMAIL_MOVED if was_verified else MailKind.EMAIL_CHANGED
        await self._mails.add(kind, user_id=user_id, to=account["email"], session=session)
