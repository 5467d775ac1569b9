"""What a change of a profile writes besides the given fields."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.accounts.search_terms import renamed
from datasources.jobs.outbox import Stage, add_pending, change
from datasources.mongo.client import Document, Readable
from domain.jobs import Task
from domain.records.images import ImageRecord

SHOWN_ELSEWHERE = (Task.MOVE_FILES, Task.LIST)  # what follows when strangers see more or less of an account
SCREENED = ("display_name", "biography", "website", "avatar")  # with the handle
DAY = timedelta(days=1)
_DECIDE_AREA = ("avatar", "is_private", "state")  # whether strangers may fetch an account's files


def profile_update(
    changes: Mapping[str, Any], now: datetime, screening: Sequence[Task], turns_to_public: int | None
) -> tuple[Document, list[Stage]]:
    """What `UserStore.update_profile` asks of the account besides its id, and the pipeline that changes it."""
    values = {
        name: {"$literal": value.to_document() if isinstance(value, ImageRecord) else value}
        for name, value in changes.items()
    }
    watched, condition = [name for name in _DECIDE_AREA if name in values], Document()
    if changes.get("is_private") is False and turns_to_public is not None:
        values["went_public_at"] = _turns_to_public_after(now, turns_to_public)
        earliest = f"went_public_at.{turns_to_public - 1}"
        condition["$or"] = [{"is_private": {"$ne": True}}, {earliest: {"$not": {"$gt": now - DAY}}}]
    tasks = SHOWN_ELSEWHERE if "is_private" in values else (Task.MOVE_FILES,)  # an avatar changes nothing about posts
    pipeline = change(values, tasks, now, watched=watched) if watched else [{"$set": values}]
    if changes.get("is_private") is False:
        pipeline.append(add_pending([Task.ACCEPT_REQUESTS], now))
    if screening and any(name in values for name in SCREENED):
        pipeline.append(add_pending(screening, now))
    return condition, pipeline


async def search_update(users: Readable, user_id: ObjectId, changes: Mapping[str, Any]) -> tuple[Document, list[Stage]]:
    """What a change of the name adds to both: by what the account is found, which the handle decides too.

    The condition is the handle that was read. If it is another one by then, read it once more.
    """
    if "display_name" not in changes:
        return {}, []
    user = await users.find_one({"_id": user_id}, projection={"username": 1})
    username = "" if user is None else user["username"]
    return {"username": username}, renamed(username, changes["display_name"])


def _turns_to_public_after(now: datetime, limit: int) -> Document:
    """The times of the last turns to public, the latest first, if this is one; an expression over the document."""
    before = {"$ifNull": ["$went_public_at", []]}
    turns = {"$slice": [{"$concatArrays": [[now], before]}, limit]}
    return {"$cond": [{"$ifNull": ["$is_private", False]}, turns, {"$ifNull": ["$went_public_at", "$$REMOVE"]}]}
