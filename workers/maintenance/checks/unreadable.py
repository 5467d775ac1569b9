"""Records that cannot be read: pages leave them out, and workers make dead letters of what is pending for them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.accounts.mail_tokens import MailToken
from datasources.feed.fan_outs import Chunk
from datasources.feed.interests import InterestsRecord
from datasources.graph.followed_hashtags import FollowedHashtags
from datasources.mongo.client import Session
from datasources.sources import Sources
from domain.records.comments import CommentRecord
from domain.records.exports import ExportRecord
from domain.records.factors import FactorsRecord
from domain.records.feeds import FeedRecord
from domain.records.follows import FollowRecord
from domain.records.likes import LikeRecord
from domain.records.mails import MailRecord
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostRecord
from domain.records.record import Record
from domain.records.registrations import RegistrationRecord
from domain.records.saves import CollectionRecord, SavedPost
from domain.records.topics import TopicRecord
from domain.records.uploads import UploadRecord
from domain.records.users import SessionRecord, UserRecord, UserState
from workers.maintenance.checks.check import BY_HAND, Check, Finding, from_snapshot

RECORDS: Mapping[str, type[Record]] = {
    "collection_posts": SavedPost,
    "collections": CollectionRecord,
    "comment_likes": LikeRecord,
    "comments": CommentRecord,
    "exports": ExportRecord,
    "factors": FactorsRecord,
    "fan_outs": Chunk,
    "feeds": FeedRecord,
    "followed_hashtags": FollowedHashtags,
    "follows": FollowRecord,
    "interests": InterestsRecord,
    "mail_tokens": MailToken,
    "mails": MailRecord,
    "notifications": NotificationRecord,
    "post_likes": LikeRecord,
    "posts": PostRecord,
    "registrations": RegistrationRecord,
    "saves": SavedPost,
    "sessions": SessionRecord,
    "topics": TopicRecord,
    "uploads": UploadRecord,
    "users": UserRecord,
}


async def _find_unreadable(
    collection: str, sources: Sources, ids: Sequence[ObjectId], session: Session
) -> list[Finding]:
    """The documents that are no records of the collection's kind, or a newer version's, with the reason."""
    findings = []
    async for document in sources.database[collection].find({"_id": {"$in": list(ids)}}, session=session):
        try:
            RECORDS[collection].from_document(document)
        except msgspec.ValidationError as error:
            if not _is_remnant(collection, document):
                findings.append(Finding(kind=_kind(collection), id=str(document["_id"]), why=str(error)))
    return findings


def _kind(collection: str) -> str:
    return f"{collection.removesuffix('s')}.unreadable"


def _is_remnant(collection: str, document: Mapping[str, Any]) -> bool:
    """Whether it is no record and nothing reads it as one: of a deleted account, or interests never computed."""
    if collection == "users":
        return bool(document.get("state") == UserState.DELETED.value)
    return collection == "interests" and "made_at" not in document


_SAMPLED = {"feeds", "interests"}  # whose other checks look at a few of them
UNREADABLE = tuple(
    Check(
        collection=collection,
        stage=f"{collection}, as records" if collection in _SAMPLED else "",
        find=from_snapshot(partial(_find_unreadable, collection)),
        repairs={_kind(collection): BY_HAND},
    )
    for collection in RECORDS
)
