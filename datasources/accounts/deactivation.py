"""Accounts whose owners are away: hidden as if deleted, with everything kept, until somebody logs in to them again."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.accounts.cached_users import UserCache
from datasources.accounts.profile_changes import SHOWN_ELSEWHERE
from datasources.accounts.search_terms import LIST_IN_SEARCH
from datasources.jobs.outbox import change, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable
from datasources.redis.invalidation import InvalidatingWrites
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Fact, Task
from domain.lenient_reading import known_value
from domain.limits import DEACTIVATION_PAUSE_HOURS
from domain.records.users import UserState

PAUSE = timedelta(hours=DEACTIVATION_PAUSE_HOURS)


class DeactivationStore:
    """The fields of `users` that say whether an account is deactivated, since when, and in which session that was."""

    def __init__(self, database: Database, job_queue: JobQueue, cache: UserCache) -> None:
        self._users: Readable = database["users"]
        self._writes = InvalidatingWrites(database["users"], cache.invalidate)
        self._job_queue = job_queue

    async def deactivate(self, user_id: ObjectId, now: datetime, *, session_id: ObjectId) -> None:
        """Hides an active account; moving its files, listing its posts and ending its sessions are pending then.

        The caller ends the sessions too, so that they are over when it answers. One atomic write. Safe to repeat: an
        account that is deactivated stays as it is. `find_deactivated_in_session` finds it by the session.

        Raises Refusal: QUOTA_EXCEEDED within `PAUSE` after the last time, because each return copies all images, and
        ACCOUNT_SUSPENDED for an account in any other state.
        """
        rested = {"$or": [{"deactivated_at": None}, {"deactivated_at": {"$lte": now - PAUSE}}]}
        query: Document = {"_id": user_id, "state": UserState.ACTIVE.value, **rested}
        values = {"state": UserState.DEACTIVATED.value, "deactivated_at": now, "deactivation_session_id": session_id}
        if not await self._set(query, values, [*SHOWN_ELSEWHERE, Task.END_SESSIONS], now):
            await self._refuse(user_id)

    async def reactivate(self, user_id: ObjectId, now: datetime) -> None:
        """Makes a deactivated account active again; moving its files and listing its posts are pending then. Any
        other stays as it is.
        """
        query = {"_id": user_id, "state": UserState.DEACTIVATED.value}
        values = {"state": UserState.ACTIVE.value, "deactivation_session_id": "$$REMOVE"}
        await self._set(query, values, SHOWN_ELSEWHERE, now)

    async def state_of(self, user_id: ObjectId) -> UserState | None:
        """The state of an account as it is stored; None if there is none."""
        user = await self._users.find_one({"_id": user_id}, projection={"state": 1})
        return None if user is None else known_value(UserState, user["state"])

    async def find_deactivated_in_session(self, session_id: ObjectId) -> ObjectId | None:
        """The account that was deactivated by a session, as long as it is."""
        user = await self._users.find_one({"deactivation_session_id": session_id}, projection={"_id": 1})
        return None if user is None else ObjectId(user["_id"])

    async def pending_since(self, user_id: ObjectId) -> datetime | None:
        """When an account was deactivated whose sessions are still to be ended; None if it is active again."""
        query = {"_id": user_id, "state": UserState.DEACTIVATED.value, "outbox": Task.END_SESSIONS.value}
        user = await self._users.find_one(query, projection={"deactivated_at": 1})
        return None if user is None else user["deactivated_at"]

    async def mark_sessions_ended(self, user_id: ObjectId, deactivated_at: datetime | None) -> None:
        """Marks END_SESSIONS done for the deactivation at this time; with None, if the account is active again."""
        if deactivated_at is None:
            query: Document = {"_id": user_id, "state": {"$ne": UserState.DEACTIVATED.value}}
        else:
            query = {"_id": user_id, "deactivated_at": deactivated_at}
        await self._writes.uncached.update_one(
            {**query, "outbox": Task.END_SESSIONS.value}, mark_done(Task.END_SESSIONS)
        )

    async def _set(self, query: Document, values: Document, tasks: Sequence[Task], now: datetime) -> bool:
        async with self._writes.invalidating([query["_id"]]) as users:
            pipeline = [*change(values, tasks, now, watched="state"), LIST_IN_SEARCH]
            user = await users.find_one_and_update(query, pipeline, {"outbox": 1}, return_document=True)
        if user is not None:
            await self._job_queue.enqueue_pending(Fact.USER, [user])
        return user is not None

    async def _refuse(self, user_id: ObjectId) -> None:
        """Raises Refusal unless the account is deactivated already, or deleted."""
        user = await self._users.find_one({"_id": user_id}, projection={"state": 1, "deactivated_at": 1})
        if user is None or user["state"] in (UserState.DEACTIVATED.value, UserState.DELETED.value):
            return
        if user["state"] == UserState.ACTIVE.value and "deactivated_at" in user:
            message = f"An account can be deactivated once in {DEACTIVATION_PAUSE_HOURS} hours."
            raise Refusal(UserErrorCode.QUOTA_EXCEEDED, message, resets_at=user["deactivated_at"] + PAUSE)
        raise Refusal(UserErrorCode.ACCOUNT_SUSPENDED, "A suspended account cannot be deactivated.")
