"""The writes that bring a follow into a state, and the numbered slots that hold the limit of follows.

A follow that stands or is requested has one of its follower's slots, and a unique index gives out each slot once. So
the limit is exact however many calls come at once, and the one write that makes the follow keeps it.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from datasources.jobs.outbox import Stage, add_pending, change
from datasources.mongo.client import DUPLICATE_KEY, Collection, Document
from datasources.mongo.sharded_ids import new_id
from datasources.mongo.upserts import TRIES
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Task
from domain.limits import FOLLOWING_MAX
from domain.records.follows import FollowState

GUESSES = 3  # a few hundred follows leave most slots free; with thousands, the free ones are looked up
MAX_TRIES = 50  # a call that loses so many slots competes with as many other calls of its follower
STANDING = [FollowState.REQUESTED.value, FollowState.FOLLOWING.value]  # the states with a slot
# A change of what feeds hold, which no event tells. It raises the version, so that no task that read the follow before
# is marked done. Events of the follow keep their ids (`FollowRecord.sequence`).
FEED_CHANGE: Stage = {
    "$set": {field: {"$add": [{"$ifNull": [f"${field}", 0]}, 1]} for field in ("version", "feed_changes")}
}
_STANDS = {"$eq": ["$state", FollowState.FOLLOWING.value]}
_TASKS = (Task.COUNT, Task.COUNT_FOLLOWING, Task.NOTIFY, Task.BACKFILL)


def set_state(state: FollowState, now: datetime, publishing: Sequence[Task]) -> list[Stage]:
    """An update pipeline that brings an existing follow into a state; one that ends gives its slot back.

    `publishing` are the tasks that tell others.
    """
    values: Document = {"state": state.value, "accepted": False}
    if state is FollowState.NONE:
        values["slot"] = "$$REMOVE"
        if publishing:
            values["has_stood"] = {"$or": [{"$ifNull": ["$has_stood", False]}, _STANDS]}
    if state is FollowState.FOLLOWING:
        is_requested = {"$eq": ["$state", FollowState.REQUESTED.value]}
        values["accepted"] = {"$or": [{"$ifNull": ["$accepted", False]}, is_requested]}
    return _change(values, now, publishing)


def _change(values: Document, now: datetime, publishing: Sequence[Task]) -> list[Stage]:
    """As `change`. Others are told if the follow begins to stand or no longer does, and not of requests."""
    pipeline = change(values, _TASKS, now, watched="state")
    if not publishing:
        return pipeline
    begins_or_ends = {"$ne": [{"$eq": ["$before", FollowState.FOLLOWING.value]}, _STANDS]}
    pending = {"$setUnion": ["$outbox", [task.value for task in publishing]]}
    is_quiet = {"$and": [{"$ne": ["$before", "$state"]}, {"$not": begins_or_ends}]}
    told = {
        "outbox": {"$cond": [begins_or_ends, pending, "$outbox"]},
        "changed_at": {"$cond": [begins_or_ends, now, "$changed_at"]},
        "feed_changes": {"$add": [{"$ifNull": ["$feed_changes", 0]}, {"$cond": [is_quiet, 1, 0]}]},
    }
    return [{"$set": {"before": "$state"}}, *pipeline, {"$set": told}, {"$unset": "before"}]


def id_of_new(follower_id: ObjectId) -> Stage:
    """A stage for upserts that gives a new follow an id that says where it lies; others keep theirs."""
    return {"$set": {"_id": {"$ifNull": ["$_id", new_id(follower_id)]}}}


async def restart_backfills(
    follows: Collection, follower_id: ObjectId, followee_ids: Sequence[ObjectId], now: datetime
) -> None:
    """Makes BACKFILL pending for the follows of these people; one that is gone is made as an ended one.

    Safe to repeat, also by concurrent duplicates.
    """
    state = {"state": {"$ifNull": ["$state", FollowState.NONE.value]}}
    left = list(followee_ids)
    for attempt in range(1, TRIES + 1):
        updates = [
            UpdateOne(
                {"follower_id": follower_id, "followee_id": followee_id},
                [{"$set": state}, id_of_new(follower_id), FEED_CHANGE, add_pending([Task.BACKFILL], now)],
                upsert=True,
            )
            for followee_id in left
        ]
        if not updates:
            return
        try:
            await follows.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            is_tried_again = attempt < TRIES and not error.details["writeConcernErrors"]
            if not is_tried_again or any(each["code"] != DUPLICATE_KEY for each in failures):
                raise
            left = [left[each["index"]] for each in failures]  # the id is taken, or a duplicate made the follow
        else:
            return


async def upsert_follow(
    follows: Collection,
    follower_id: ObjectId,
    followee_id: ObjectId,
    state: FollowState,
    now: datetime,
    publishing: Sequence[Task],
) -> Document:
    """The follow of this pair, brought into a state in one write; a follow that stands does not become a request.

    Safe to repeat, also by concurrent duplicates. Raises Refusal (TOO_MANY_FOLLOWS; BUSY if other calls keep taking
    the slots).
    """
    key = {"follower_id": follower_id, "followee_id": followee_id}
    has_slot = {"$in": ["$state", STANDING]}
    new_state = {"$cond": [{"$eq": ["$state", FollowState.FOLLOWING.value]}, "$state", state.value]}
    for attempt in range(MAX_TRIES):
        slot = secrets.randbelow(FOLLOWING_MAX) if attempt < GUESSES else await _free_slot(follows, follower_id)
        values = {"state": new_state, "slot": {"$cond": [has_slot, "$slot", slot]}}
        pipeline = [id_of_new(follower_id), *_change(values, now, publishing)]
        try:
            document = await follows.find_one_and_update(key, pipeline, upsert=True, return_document=True)
        except DuplicateKeyError:
            continue  # the slot or the id is taken, or a concurrent duplicate made the follow
        assert document is not None  # noqa: S101  an upsert always returns a document
        return document
    raise Refusal(UserErrorCode.BUSY, "Too many follows at once; try again.", retry_after_ms=1_000)


async def _free_slot(follows: Collection, follower_id: ObjectId) -> int:
    query = {"follower_id": follower_id, "slot": {"$exists": True}}
    taken = {row["slot"] async for row in follows.find(query, {"_id": 0, "slot": 1})}
    free = [slot for slot in range(FOLLOWING_MAX) if slot not in taken]
    if not free:
        message = f"One can follow {FOLLOWING_MAX:,} people at most."
        raise Refusal(UserErrorCode.TOO_MANY_FOLLOWS, message, field=["userId"])
    return secrets.choice(free)
