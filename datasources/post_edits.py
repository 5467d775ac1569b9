"""Changing a post that is there: its author's edits, and a tag that the tagged person takes off.

Each is one write, an update pipeline over the post as it is stored. Who is named by the post (mentioned or tagged)
differs after it: then the post owes the telling again, and `workers/notifications.py` tells the new ones and takes back
what the others were told.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from datasources.mongo import Document
from datasources.outbox import Stage, change
from domain.events import Effect
from domain.records import Record

WORDS = ("caption", "location")  # what an edit shows the date of


def edit(changes: Mapping[str, Any], now: datetime) -> list[Stage]:
    """Sets these fields, None clearing one. `edited_at` follows if words differ by it, and only then."""
    values: Document = {
        name: {"$literal": value.to_document() if isinstance(value, Record) else value}
        for name, value in changes.items()
    }
    differ = [{"$ne": [{"$ifNull": [f"${name}", None]}, values[name]]} for name in WORDS if name in values]
    dated: Stage = {"$set": {"edited_at": {"$cond": [{"$or": differ}, now, "$edited_at"]}}}
    if "mention_ids" in values:
        return [dated, *change(values, [Effect.NOTIFY], now, watched="mention_ids")]
    return [dated, {"$set": values}]


def tagging(user_id: ObjectId) -> Document:
    """Finds the posts that tag a person, before and after their images are ready."""
    return {"$or": [{f"{path}.tagged_users.user_id": user_id} for path in ("images", "image_inputs")]}


def untag(user_id: ObjectId, now: datetime) -> list[Stage]:
    """Takes a person's tags off every image of a post."""
    others = {
        "$filter": {
            "input": {"$ifNull": ["$$image.tagged_users", []]},
            "as": "tag",
            "cond": {"$ne": ["$$tag.user_id", user_id]},
        }
    }
    values: Document = {
        path: {
            "$map": {
                "input": {"$ifNull": [f"${path}", []]},
                "as": "image",
                "in": {"$mergeObjects": ["$$image", {"tagged_users": others}]},
            }
        }
        for path in ("images", "image_inputs")
    }
    return change(values, [Effect.NOTIFY], now, watched=tuple(values))
