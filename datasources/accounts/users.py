"""Accounts: profiles, which others see, and the secrets of logging in, which nobody does."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.barred_identifiers import BarredIdentifiers
from datasources.accounts.cached_users import UserCache
from datasources.accounts.claims import Claimed, ClaimStore, ClaimTaken, to_refusal
from datasources.accounts.known_devices import DEVICES
from datasources.accounts.profile_changes import DAY, profile_update, search_update
from datasources.accounts.search_terms import LIST_IN_SEARCH, search_fields
from datasources.jobs.idempotency import Idempotency, key_reused, result_deleted
from datasources.jobs.outbox import add_pending, mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.counters import increment
from datasources.mongo.lenient_reads import readable
from datasources.mongo.search_keys import SEARCH
from datasources.mongo.transactions import in_transaction
from datasources.redis.invalidation import InvalidatingWrites
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Fact, Job, Task
from domain.records.record import Stored
from domain.records.users import UserRecord, UserState
from domain.usernames import typed_handle

_NOT_DELETED = {"state": {"$ne": UserState.DELETED.value}}
_SECRET = ("email", "email_key", "former_emails", "password_hash", "idempotency_key", "idempotency_digest", DEVICES)
_PUBLIC = dict.fromkeys((*_SECRET, SEARCH, "went_public_at", "language", "email_verified_at"), 0)
DELETED_KEPT = timedelta(days=100)  # longer than anything that no index finds may still name a deleted account
_COUNTERS = ("post_count", "follower_count", "following_count")
MAX_REMEMBERED = 10_000  # handles; when there are more, they are looked up again


class Credentials(msgspec.Struct, frozen=True):
    """What a login is checked against."""

    user_id: ObjectId
    password_hash: str


class DeletedAccount(Stored, frozen=True, kw_only=True):
    """A deleted account, of which the removal of what it left is pending."""

    deleted_at: datetime
    version: int


class UserStore(BatchedReads[UserRecord]):
    """The collection `users`. Its counters are written by the counting worker alone."""

    def __init__(self, database: Database, job_queue: JobQueue, cache: UserCache, barred: BarredIdentifiers) -> None:
        super().__init__(database["users"], UserRecord, projection=_PUBLIC)
        self._barred = barred
        self._users: Readable = database["users"]
        self._writes = InvalidatingWrites(database["users"], cache.invalidate)
        self._claims = ClaimStore(database)
        self._client = database.client
        self._job_queue = job_queue
        self._ids_by_handle: dict[str, ObjectId] = {}

    async def register(
        self,
        username: str,
        email: str,
        password_hash: str,
        display_name: str,
        now: datetime,
        *,
        user_id: ObjectId | None = None,
        idempotency: Idempotency | None = None,
        may_be_barred: bool = False,
        **profile: Any,
    ) -> UserRecord:
        """Makes an account and its claims. Raises Refusal if handle or address, in any case, is taken or barred.

        Atomic. With `idempotency`, `find_registered` finds it; IDEMPOTENCY_KEY_REUSED refuses another use of the key.
        """
        document: Document = {
            "_id": user_id or clock.new_id(),
            "username": username,
            "username_key": username.lower(),
            "email": email,
            "email_key": email.lower(),
            "password_hash": password_hash,
            "display_name": display_name,
            "created_at": now,
            "state": UserState.ACTIVE.value,
            **(idempotency.fields() if idempotency else {}),
            **profile,
            **(pending_fields(self._job_queue.screening, now) if self._job_queue.screening else {}),
        }
        document[SEARCH] = search_fields(document)

        async def apply(session: Session) -> None:
            await self._claims.make(document, session)
            if not may_be_barred:
                await self._barred.refuse(document, session)
            async with self._writes.invalidating([document["_id"]], session) as users:
                await users.insert_one(document, session=session)

        try:
            await in_transaction(self._client, apply)
        except (ClaimTaken, DuplicateKeyError) as error:
            raise to_refusal(error) from None
        return UserRecord.from_document(document)

    async def find_registered(self, idempotency: Idempotency | None) -> Credentials | None:
        """The account that was created with this key, if any; the caller checks its password.

        Raises Refusal if it was created with other input (IDEMPOTENCY_KEY_REUSED) or is not active now (NOT_FOUND).
        """
        if idempotency is None:
            return None
        claims = await self._claims.find(Claimed.REGISTRATION, [idempotency.key])
        if not claims:
            return None
        user = await self._users.find_one({"_id": claims[idempotency.key], "state": UserState.ACTIVE.value})
        if user is None:
            raise result_deleted()
        if user["idempotency_digest"] != idempotency.digest:
            raise key_reused()
        return Credentials(user["_id"], user["password_hash"])

    async def credentials(self, login: str) -> Credentials | None:
        """What to check a password against, by handle or address in any case; None if there is no such account.

        Who is suspended logs in too, to read what is theirs, and who is deactivated, to come back.
        """
        claimed = Claimed.EMAIL if "@" in login else Claimed.USERNAME
        address = {"email_key": login.lower()} if "@" in login else {}  # not one that it has given up
        query = {"_id": await self._holder(claimed, login), **address, **_NOT_DELETED}
        user = await self._users.find_one(query, projection={"password_hash": 1})
        return None if user is None else Credentials(user["_id"], user["password_hash"])

    async def password_hash(self, user_id: ObjectId) -> str | None:
        """What to check the password of an account against, also of a suspended one; None if it is deleted."""
        query = {"_id": user_id, **_NOT_DELETED}
        user = await self._users.find_one(query, projection={"password_hash": 1})
        return None if user is None else str(user["password_hash"])

    async def by_username(self, username: str) -> UserRecord | None:
        """The account with this handle, in any case, also with an `@` or spaces around it."""
        key = typed_handle(username).lower()
        user_id = await self._holder(Claimed.USERNAME, key)
        found = None if user_id is None else await self._users.find_one({"_id": user_id}, projection=_PUBLIC)
        user = readable(UserRecord, found)
        if user is not None:
            if len(self._ids_by_handle) >= MAX_REMEMBERED:
                self._ids_by_handle.clear()
            self._ids_by_handle[key] = user.id
        return user

    def remembered_id(self, username: str) -> ObjectId | None:
        """Whose a handle was when this process last looked it up: a hint, for it may be somebody else's by now."""
        return self._ids_by_handle.get(typed_handle(username).lower())

    async def ids_by_username(self, usernames: Iterable[str]) -> dict[str, ObjectId]:
        """The ids of those handles (lower case) that exist."""
        holders = await self._claims.find(Claimed.USERNAME, usernames)
        return {username: user_id for username, user_id in holders.items() if user_id is not None}

    async def email_of(self, user_id: ObjectId) -> str:
        """The address of an account; empty once it is deleted."""
        user = await self._users.find_one({"_id": user_id}, projection={"email": 1})
        return str(user["email"]) if user else ""

    async def update_profile(
        self, user_id: ObjectId, changes: dict[str, Any], *, turns_to_public: int | None = None
    ) -> UserRecord | None:
        """Sets the given fields (None clears one) in one write; returns the profile as it is now. Safe to repeat.

        None, with no change, for a deleted account. If an account goes public, accepting its requests is pending; if
        strangers may see more or less than before, moving its files and listing its posts are. Raises Refusal
        (QUOTA_EXCEEDED), and changes nothing, if a private account would go public more often than `turns_to_public`
        times in 24 hours.
        """
        condition, pipeline = profile_update(changes, clock.now(), self._job_queue.screening, turns_to_public)
        same_handle, search = await search_update(self._users, user_id, changes)
        query: Document = {"_id": user_id, **_NOT_DELETED}
        async with self._writes.invalidating([user_id]) as users:
            user = await users.find_one_and_update(
                {**query, **condition, **same_handle},
                [*pipeline, *search],
                projection=_PUBLIC,
                return_document=True,
            )
        if user is None and same_handle:
            other_handle = {"username": {"$ne": same_handle["username"]}}
            if await self._users.find_one({**query, **other_handle}, projection={"_id": 1}):
                return await self.update_profile(user_id, changes, turns_to_public=turns_to_public)
        if user is None:
            if turns_to_public is not None:
                await self._refuse_turn(user_id, turns_to_public)
            return None
        await self._job_queue.enqueue_pending(Fact.USER, [user])
        return readable(UserRecord, user)

    async def _refuse_turn(self, user_id: ObjectId, turns_to_public: int) -> None:
        """Raises Refusal unless the account is deleted."""
        user = await self._users.find_one({"_id": user_id, **_NOT_DELETED}, projection={"went_public_at": 1})
        if user is not None and len(turns := user.get("went_public_at", ())) >= turns_to_public:
            message = f"An account can go public {turns_to_public} times a day."
            resets_at = turns[turns_to_public - 1] + DAY
            raise Refusal(UserErrorCode.QUOTA_EXCEEDED, message, field=["isPrivate"], resets_at=resets_at)

    async def mark_done(self, user: UserRecord, task: Task) -> bool:
        """Marks a task done, unless the account has changed since it was read; whether it did."""
        query = {"_id": user.id, "version": user.version or {"$in": [0, None]}}
        return (await self._writes.uncached.update_one(query, mark_done(task))).matched_count == 1

    async def delete(self, user_id: ObjectId, now: datetime, *, session_id: ObjectId | None = None) -> bool:
        """Deletes an account: nobody sees it or anything of it any more; its handle and address are free, or barred.

        One transaction empties the document and frees its claims; the removal of all that the account left replaces
        what was pending. Safe to repeat. False if there is no such account, or not any more. `find_deleted_in_session`
        finds it by the session.
        """
        unusable = {"$literal": f"deleted:{user_id}"}  # an older version's indexes need unique values
        tasks = [Task.CLEAN_UP, *self._job_queue.publishing]
        emptied: Document = {
            **{name: f"${name}" for name in ("_id", "created_at", "idempotency_key", *_COUNTERS)},
            **dict.fromkeys(("username", "display_name", "email"), ""),
            **dict.fromkeys(("username_key", "email_key"), unusable),
            "state": UserState.DELETED.value,
            "deleted_at": now,
            **({} if session_id is None else {"deletion_session_id": session_id}),
            "version": {"$add": [{"$ifNull": ["$version", 0]}, 1]},
            **pending_fields(tasks, now),
        }

        async def apply(session: Session) -> bool:
            async with self._writes.invalidating([user_id], session) as users:
                query = {"_id": user_id, **_NOT_DELETED}
                account = await users.find_one_and_update(query, [{"$replaceWith": emptied}], session=session)
            if account is not None:
                await self._barred.add_of(account, session)
                await self._claims.release(account, session, key_until=now + DELETED_KEPT)
            return account is not None

        is_deleted = await in_transaction(self._client, apply)
        if is_deleted:
            await self._job_queue.enqueue(Job(task, Fact.USER, str(user_id)) for task in tasks)
        return is_deleted

    async def find_deleted_in_session(self, session_id: ObjectId) -> ObjectId | None:
        user = await self._users.find_one({"deletion_session_id": session_id}, projection={"_id": 1})
        return None if user is None else ObjectId(user["_id"])

    async def deleted_account(self, user_id: ObjectId) -> DeletedAccount | None:
        """A deleted account, if the removal of what it left is pending."""
        query = {"_id": user_id, "state": UserState.DELETED.value, "outbox": Task.CLEAN_UP.value}
        user = await self._users.find_one(query)
        return None if user is None else DeletedAccount.from_document(user)

    async def reschedule_deletion(self, account: DeletedAccount, at: datetime) -> None:
        """Has the outbox relay enqueue the removal of what an account left at this time, and not before."""
        query = {"_id": account.id, "outbox": Task.CLEAN_UP.value}
        await self._writes.uncached.update_one(query, {"$set": {"due_at": at, "enqueues": 0}})

    async def finish_deletion(self, account: DeletedAccount, now: datetime) -> None:
        """Marks the removal of what an account left done; a TTL index removes the document after `DELETED_KEPT`."""
        expiry: Document = {"$set": {"expires_at": now + DELETED_KEPT}}
        await self._writes.uncached.update_one({"_id": account.id}, [expiry, *mark_done(Task.CLEAN_UP)])

    async def restart_deletion(self, user_id: ObjectId, now: datetime) -> None:
        """Makes the removal of what a deleted account left pending again. Safe to repeat."""
        query, pending = {"_id": user_id, "state": UserState.DELETED.value}, add_pending([Task.CLEAN_UP], now)
        await self._writes.uncached.update_one(query, [{"$unset": "expires_at"}, pending])

    async def pending_events(self, task: Task, user_ids: Sequence[ObjectId]) -> list[Document]:
        """Those of these accounts of which others have yet to be told, as `_id`, `state` and `changed_at`."""
        query = {"_id": {"$in": list(user_ids)}, "outbox": task.value}
        return await self._users.find(query, {"state": 1, "changed_at": 1}).to_list()

    async def set_published(self, user_ids: Sequence[ObjectId], task: Task) -> None:
        """Marks a task of publishing done. Safe to repeat: an account is deleted once."""
        await self._writes.uncached.update_many({"_id": {"$in": list(user_ids)}}, mark_done(task))

    async def add_to_counts(self, counter: str, deltas: Mapping[ObjectId, int], session: Session) -> None:
        """Adds to a counter of some accounts, within the caller's transaction."""
        async with self._writes.invalidating(deltas, session) as users:
            await increment(
                users, counter, deltas, session, then=[LIST_IN_SEARCH] if counter == "follower_count" else []
            )

    async def correct_counts(self, user_id: ObjectId, counts: Document, session: Session) -> None:
        """Sets recounted counters, within the caller's transaction."""
        async with self._writes.invalidating([user_id], session) as users:
            await users.update_one({"_id": user_id}, [{"$set": counts}, LIST_IN_SEARCH], session=session)

    async def _holder(self, claimed: Claimed, value: str) -> ObjectId | None:
        """Whose a handle or an address is, in any case."""
        return (await self._claims.find(claimed, [value.lower()])).get(value.lower())
