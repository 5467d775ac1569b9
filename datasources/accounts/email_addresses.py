"""The addresses of accounts: whether they are verified, and changing them."""

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.claims import ClaimStore, ClaimTaken, to_refusal
from datasources.accounts.mail_tokens import MailToken, MailTokenStore
from datasources.mail.outbox import MailOutbox
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.mails import MailKind, TokenPurpose
from domain.records.users import UserState

MAX_REMEMBERED = 10_000  # accounts; when there are more, they are looked up again


class EmailStore:
    """The fields `email`, `email_key` and `email_verified_at` of `users`, which no cached value shows."""

    def __init__(self, database: Database, mails: MailOutbox, tokens: MailTokenStore) -> None:
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

        If that is another address than before, the old one gets a mail, and tokens that were sent there end. False if
        the account is deleted. Raises Refusal if another account has the address (EMAIL_TAKEN), or the token was used
        (TOKEN_EXPIRED).
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
                await self._claims.replace_email(account, token.email, session)
                await self._tokens.revoke(token.user_id, TokenPurpose.PASSWORD_RESET, session)
                await self._mails.add(
                    MailKind.EMAIL_CHANGED, user_id=token.user_id, to=account["email"], session=session
                )
            return True

        try:
            return await in_transaction(self._client, apply)
        except (ClaimTaken, DuplicateKeyError) as error:
            raise to_refusal(error) from None
