"""Changes of handles. The old handle leads to the account for a while, and nobody else can have it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.accounts.cached_users import UserCache
from datasources.accounts.claims import Claimed, ClaimStore, ClaimTaken, to_refusal
from datasources.accounts.search_terms import renamed
from datasources.jobs.outbox import add_pending
from datasources.mail.outbox import MailOutbox
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.transactions import in_transaction
from datasources.redis.invalidation import InvalidatingWrites
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Task
from domain.limits import USERNAME_CHANGES_MAX, USERNAME_KEPT_DAYS
from domain.mails import MailKind
from domain.records.users import UserState

KEPT = timedelta(days=USERNAME_KEPT_DAYS)


class RenamingStore:
    """The handles of `users`, with those that an account has given up, and when it did."""

    def __init__(
        self,
        database: Database,
        cache: UserCache,
        mails: MailOutbox,
        barred: BarredIdentifiers,
        screening: Sequence[Task],
    ) -> None:
        """`screening` is pending after a change."""
        self._barred = barred
        self._client = database.client
        self._screening = screening
        self._users: Readable = database["users"]
        self._writes = InvalidatingWrites(database["users"], cache.invalidate)
        self._claims = ClaimStore(database)
        self._mails = mails

    async def rename(self, user_id: ObjectId, username: str, now: datetime) -> None:
        """Gives an account another handle, in one transaction; nothing happens if it is deleted. Safe to repeat.

        The old handle stays claimed for `KEPT`, and the account is told by mail. Another way to write the same handle
        is no change of it.

        Raises Refusal: USERNAME_TAKEN, and QUOTA_EXCEEDED for more than `USERNAME_CHANGES_MAX` changes within `KEPT`.
        """

        async def apply(session: Session) -> None:
            account = await self._users.find_one({"_id": user_id}, session=session)
            if account is None or account["state"] == UserState.DELETED.value:
                return
            changes: Document = {"username": username}
            if username.lower() != account["username_key"]:
                changes |= _changes(account, username.lower(), now)
                await self._claims.replace_handle(account, username.lower(), session, kept_until=now + KEPT)
                if await self._barred.has(Barred.USERNAME, username.lower(), session):
                    raise ClaimTaken(Claimed.USERNAME)
                names = {"old": account["username"], "new": username}
                await self._mails.add(MailKind.USERNAME_CHANGED, user_id=user_id, values=names, session=session)
            async with self._writes.invalidating([user_id], session) as users:
                screened = [add_pending(self._screening, now)] if self._screening else []
                found_by = renamed(username, account["display_name"])
                await users.update_one({"_id": user_id}, [{"$set": changes}, *screened, *found_by], session=session)

        try:
            await in_transaction(self._client, apply)
        except (ClaimTaken, DuplicateKeyError) as error:
            raise to_refusal(error) from None


def _changes(account: Document, key: str, now: datetime) -> Document:
    """The fields of an account that takes another handle. Raises Refusal (QUOTA_EXCEEDED)."""
    times = [time for time in account.get("renamed_at", ()) if time > now - KEPT]
    if len(times) >= USERNAME_CHANGES_MAX:
        message = f"A user name can change {USERNAME_CHANGES_MAX} times in {USERNAME_KEPT_DAYS} days."
        raise Refusal(UserErrorCode.QUOTA_EXCEEDED, message, field=["username"], resets_at=times[0] + KEPT)
    former = [each for each in account.get("former_handles", ()) if each["until"] > now and each["key"] != key]
    return {
        "username_key": key,
        "renamed_at": [*times, now],
        "former_handles": [*former, {"key": account["username_key"], "until": now + KEPT}],
    }
