"""How a follow begins and changes: its states, what each change owes, and the numbered slots that hold the limit.

A follow that stands, or is asked for, has one of its follower's slots, and a unique index gives each out once. So the
limit is exact however many call at the same time, and is kept by the one write that makes the follow.
"""

import secrets
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.outbox import Stage, change
from datasources.mongo.client import Collection, Document
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Task
from domain.limits import FOLLOWING_MAX
from domain.records.follows import FollowState

GUESSES = 3  # who follows a few hundred finds a free slot at once; thousands have the free ones looked up
TRIES = 50  # whoever loses a slot so often has as many calls of their own under way
_TASKS = (Task.COUNT, Task.COUNT_FOLLOWING, Task.NOTIFY, Task.BACKFILL)


def becoming(state: FollowState, now: datetime) -> list[Stage]:
    """An update pipeline that brings a follow that exists into a state; one that ends gives its slot back."""
    values: Document = {"state": state.value, "accepted": False}
    if state is FollowState.NONE:
        values["slot"] = "$$REMOVE"
    if state is FollowState.FOLLOWING:
        asked = {"$eq": ["$state", FollowState.REQUESTED.value]}
        values["accepted"] = {"$or": [{"$ifNull": ["$accepted", False]}, asked]}
    return change(values, _TASKS, now, watched="state")


async def upsert_follow(
    follows: Collection, follower_id: ObjectId, followee_id: ObjectId, wanted: FollowState, now: datetime
) -> Document:
    """The follow of this pair, brought into the wanted state in one write; one that stands does not become a request.

    Safe against twins. Raises Refusal (TOO_MANY_FOLLOWS; BUSY, where others keep taking the slots).
    """
    key = {"follower_id": follower_id, "followee_id": followee_id}
    has_slot = {"$in": ["$state", [FollowState.REQUESTED.value, FollowState.FOLLOWING.value]]}
    state = {"$cond": [{"$eq": ["$state", FollowState.FOLLOWING.value]}, "$state", wanted.value]}
    for attempt in range(TRIES):
        slot = secrets.randbelow(FOLLOWING_MAX) if attempt < GUESSES else await _free_slot(follows, follower_id)
        values = {"state": state, "slot": {"$cond": [has_slot, "$slot", slot]}}
        pipeline = change(values, _TASKS, now, watched="state")
        try:
            found = await follows.find_one_and_update(key, pipeline, upsert=True, return_document=True)
        except DuplicateKeyError:
            continue  # the slot is taken, or a twin made the follow
        assert found is not None  # noqa: S101  an upsert always returns a document
        return found
    raise Refusal(UserErrorCode.BUSY, "Too many follows at once; try again.", retry_after_ms=1_000)


async def _free_slot(follows: Collection, follower_id: ObjectId) -> int:
    query = {"follower_id": follower_id, "slot": {"$exists": True}}
    taken = {row["slot"] async for row in follows.find(query, {"_id": 0, "slot": 1})}
    free = [slot for slot in range(FOLLOWING_MAX) if slot not in taken]
    if not free:
        message = f"One can follow {FOLLOWING_MAX:,} people at most."
        raise Refusal(UserErrorCode.TOO_MANY_FOLLOWS, message, field=["userId"])
    return secrets.choice(free)
