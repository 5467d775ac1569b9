"""Records that cannot be read: what shows them leaves them out, and workers put them among the dead letters."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.feed.fan_outs import Chunk
from datasources.feed.interests import InterestsRecord
from datasources.mongo.client import Session
from datasources.sources import Sources
from domain.records.comments import CommentRecord
from domain.records.feeds import FeedRecord
from domain.records.follows import FollowRecord
from domain.records.likes import LikeRecord
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostRecord
from domain.records.record import Record
from domain.records.uploads import UploadRecord
from domain.records.users import SessionRecord, UserRecord, UserState
from workers.maintenance.checks.check import Finding

RECORDS: Mapping[str, type[Record]] = {
    "comment_likes": LikeRecord,
    "comments": CommentRecord,
    "fan_outs": Chunk,
    "feeds": FeedRecord,
    "follows": FollowRecord,
    "interests": InterestsRecord,
    "notifications": NotificationRecord,
    "post_likes": LikeRecord,
    "posts": PostRecord,
    "sessions": SessionRecord,
    "uploads": UploadRecord,
    "users": UserRecord,
}


async def unreadable_records(sources: Sources, name: str, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Those documents of a collection that are no records of its kind, with the reason; also a newer version's."""
    findings = []
    async for document in sources.database[name].find({"_id": {"$in": list(ids)}}, session=session):
        why = None if _is_remnant(name, document) else _why_not(RECORDS[name], document)
        if why is not None:
            kind = f"{name.removesuffix('s')}.unreadable"
            findings.append(Finding(kind=kind, id=str(document["_id"]), expected=None, found=None, why=why))
    return findings


def _why_not(kind: type[Record], document: Mapping[str, Any]) -> str | None:
    try:
        kind.from_document(document)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _is_remnant(name: str, document: Mapping[str, Any]) -> bool:
    """What is no record and read as none: of an account that is deleted, interests that were never weighed."""
    match name:
        case "users":
            return bool(document.get("state") == UserState.DELETED.value)
        case "interests":
            return "made_at" not in document
        case _:
            return False
