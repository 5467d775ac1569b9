"""The role and the standing of an account: fields of its document that only operators and moderators change.

The `state` of a suspended or banned account is SUSPENDED, so a process of the version before hides it too.
"""

from datetime import datetime
from typing import Any

from bson import ObjectId

from datasources.accounts.cached_users import UserCache
from datasources.accounts.profile_changes import SHOWN_ELSEWHERE
from datasources.accounts.search_terms import LIST_IN_SEARCH
from datasources.jobs.outbox import Stage, change
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact
from domain.lenient_reading import known_value
from domain.records.users import AccountStanding, Role, UserState

_SUSPENDED = UserState.SUSPENDED.value
_IS_SUSPENDED = {"$eq": ["$state", _SUSPENDED]}


class StandingStore:
    """Writes of roles and standings to the collection `users`."""

    def __init__(self, database: Database, job_queue: JobQueue, cache: UserCache) -> None:
        self._users: Readable = database["users"]
        self._writes = InvalidatingWrites(database["users"], cache.invalidate)
        self._job_queue = job_queue

    async def set_role(self, user_id: ObjectId, role: Role, session: Session) -> bool:
        """Gives an account a role, within the caller's transaction; False if the account is deleted."""
        async with self._writes.invalidating([user_id], session) as users:
            changes = {"$set": {"role": role.value}}
            return (await users.update_one(_present(user_id), changes, session=session)).matched_count == 1

    async def set(
        self,
        user_id: ObjectId,
        standing: AccountStanding,
        now: datetime,
        session: Session,
        *,
        by: ObjectId,
        until: datetime | None = None,
    ) -> Document | None:
        """Sets the standing that a decision (`by`) gives an account, within the caller's transaction.

        Returns the document, for `enqueue`; None if the account is deleted. Moving its files and listing its posts are
        pending if strangers see more or less of it than before. The end of a suspension gives the account back the
        state that it had.
        """
        async with self._writes.invalidating([user_id], session) as users:
            return await users.find_one_and_update(
                _present(user_id), _standing(standing, now, by, until), session=session, return_document=True
            )

    async def hide_restricted(self, user_id: ObjectId, now: datetime) -> None:
        """Gives an account whose standing restricts it the state that hides it; for repairs. Safe to repeat."""
        query = {"_id": user_id, "standing": {"$in": [each.value for each in AccountStanding if each.restricts]}}
        values = {"state": _SUSPENDED, "state_before": {"$cond": [_IS_SUSPENDED, "$state_before", "$state"]}}
        async with self._writes.invalidating([user_id]) as users:
            pipeline = [*change(values, SHOWN_ELSEWHERE, now, watched="state"), LIST_IN_SEARCH]
            await users.update_one({**query, **_present(user_id)}, pipeline)

    async def enqueue(self, user: Document) -> None:
        """Enqueues what `set` made pending, after its transaction."""
        await self._job_queue.enqueue_pending(Fact.USER, [user])

    async def held(self, user_id: ObjectId, session: Session) -> tuple[AccountStanding, datetime | None]:
        """The standing of an account, and when it ends by itself; GOOD if it is deleted."""
        user = (
            await self._users.find_one(_present(user_id), {"standing": 1, "standing_until": 1}, session=session) or {}
        )
        return known_value(AccountStanding, user.get("standing", AccountStanding.GOOD)), user.get("standing_until")

    async def until(self, user_id: ObjectId) -> datetime | None:
        """When the standing of an account ends by itself; None if it does not."""
        user = await self._users.find_one({"_id": user_id}, {"standing_until": 1})
        return None if user is None else user.get("standing_until")

    async def state(self, user_id: ObjectId) -> UserState | None:
        """The state of an account; None if it is deleted."""
        user = await self._users.find_one(_present(user_id), {"state": 1})
        return None if user is None else known_value(UserState, user["state"])

    async def is_by(self, user_id: ObjectId, decision_id: ObjectId, session: Session) -> bool:
        """Whether the standing of an account is still the one that this decision gave it."""
        query = {"_id": user_id, "standing_by": decision_id}
        return await self._users.find_one(query, {"_id": 1}, session=session) is not None


def _present(user_id: ObjectId) -> Document:
    return {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}


def _standing(standing: AccountStanding, now: datetime, by: ObjectId, until: datetime | None) -> list[Stage]:
    values: dict[str, Any] = {"standing": standing.value, "standing_by": by, "standing_until": until}
    if standing.restricts:
        values["state"] = _SUSPENDED
        values["state_before"] = {"$cond": [_IS_SUSPENDED, "$state_before", "$state"]}
    else:
        before = {"$ifNull": ["$state_before", UserState.ACTIVE.value]}
        values["state"] = {"$cond": [_IS_SUSPENDED, before, "$state"]}
        values["state_before"] = "$$REMOVE"
    return [*change(values, SHOWN_ELSEWHERE, now, watched="state"), LIST_IN_SEARCH]
