"""What a change of a profile sets besides the given fields."""

from datetime import datetime

from datasources.mongo.client import Document
from domain.jobs import Task

SHOWN_ELSEWHERE = (Task.MOVE_FILES, Task.LIST)  # what follows when strangers see more or less of an account
SCREENED = ("display_name", "biography", "website", "avatar")  # with the handle


def turns_to_public_after(now: datetime, limit: int) -> Document:
    """The times of the last turns to public, the latest first, if this is one; an expression over the document."""
    before = {"$ifNull": ["$went_public_at", []]}
    turns = {"$slice": [{"$concatArrays": [[now], before]}, limit]}
    return {"$cond": [{"$ifNull": ["$is_private", False]}, turns, {"$ifNull": ["$went_public_at", "$$REMOVE"]}]}
