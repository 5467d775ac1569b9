"""Update pipelines for existing posts: the author's edits, and removing the tags of one person.

Each runs as one atomic write. If it changes who is mentioned or tagged, NOTIFY is pending again: the handler in
`workers/handlers/notify.py` then notifies the new people and withdraws the notifications of the others.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from datasources.jobs.outbox import Stage, add_pending, change
from datasources.mongo.client import Document
from domain.jobs import Task
from domain.records.record import Record

WORDS = ("caption", "location")  # a change of these sets `edited_at`


def edit(changes: Mapping[str, Any], now: datetime, screening: Sequence[Task] = ()) -> list[Stage]:
    """Sets these fields; None clears one. Sets `edited_at` only if a field of `WORDS` changes.

    The tasks of `screening` are pending if such a field is given, and LIST if the hashtags or the place are.
    """
    values: Document = {
        name: {"$literal": value.to_document() if isinstance(value, Record) else value}
        for name, value in changes.items()
    }
    differ = [{"$ne": [{"$ifNull": [f"${name}", None]}, values[name]]} for name in WORDS if name in values]
    dated: Stage = {"$set": {"edited_at": {"$cond": [{"$or": differ}, now, "$edited_at"]}}}
    screened = [add_pending(screening, now)] if screening and differ else []
    listed = [add_pending([Task.LIST], now)] if values.keys() & {"hashtags", "location"} else []
    if "mention_ids" in values:
        return [dated, *change(values, [Task.NOTIFY], now, watched="mention_ids"), *screened, *listed]
    return [dated, {"$set": values}, *screened, *listed]


def tagging(user_id: ObjectId) -> Document:
    """A query for the posts that tag a person, whether their images are ready or not."""
    return {"$or": [{f"{path}.tagged_users.user_id": user_id} for path in ("images", "image_inputs")]}


def untag(user_id: ObjectId, now: datetime) -> list[Stage]:
    """Removes a person's tags from every image of a post."""
    tags = {"$ifNull": ["$$image.tagged_users", []]}
    return _retag({"$filter": {"input": tags, "as": "tag", "cond": {"$ne": ["$$tag.user_id", user_id]}}}, now)


def approve_tags(user_id: ObjectId, now: datetime) -> list[Stage]:
    """Makes a person's tags in every image of a post visible to others."""
    tags = {"$ifNull": ["$$image.tagged_users", []]}
    approved = {"$mergeObjects": ["$$tag", {"is_pending": False}]}
    is_theirs = {"$eq": ["$$tag.user_id", user_id]}
    return _retag({"$map": {"input": tags, "as": "tag", "in": {"$cond": [is_theirs, approved, "$$tag"]}}}, now)


def _retag(tags: Document, now: datetime) -> list[Stage]:
    values: Document = {
        path: {
            "$map": {
                "input": {"$ifNull": [f"${path}", []]},
                "as": "image",
                "in": {"$mergeObjects": ["$$image", {"tagged_users": tags}]},
            }
        }
        for path in ("images", "image_inputs")
    }
    return change(values, [Task.NOTIFY], now, watched=tuple(values))
