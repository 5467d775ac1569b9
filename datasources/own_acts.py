"""Read your writes: a thing as it stands, with the viewer's own acts that the counting worker has not reached yet.

The thing and the viewer's facts are read from one snapshot, so an act is never left out and never counted twice.
"""

from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo import Client, Database, Document, Session
from domain.events import Effect, Fact
from domain.limits import PREVIEW_COMMENTS
from domain.records import CommentRecord, FollowState, PostRecord, UserRecord


class OwnActs:
    """Reads of single things for the answers of mutations."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database

    async def post(self, post_id: ObjectId, viewer_id: ObjectId) -> PostRecord | None:
        """A post whose counts and previews have the viewer's own like and comments."""
        async with self._client.start_session(snapshot=True) as session:
            document = await self._database["posts"].find_one({"_id": post_id}, session=session)
            if document is None:
                return None
            likes = await self._uncounted_like(Fact.POST_LIKE, post_id, viewer_id, session)
            query = {"post_id": post_id, "author_id": viewer_id, "outbox": Effect.COUNT.value}
            comments = await self._database["comments"].find(query, session=session).to_list()
        record = PostRecord.from_document(document)
        return msgspec.structs.replace(
            record,
            like_count=record.like_count + likes,
            comment_count=record.comment_count + sum(_delta(not one["deleted"], one) for one in comments),
            preview_comment_ids=_preview(record, comments),
        )

    async def comment(self, comment_id: ObjectId, viewer_id: ObjectId) -> CommentRecord | None:
        """A comment whose count has the viewer's own like."""
        async with self._client.start_session(snapshot=True) as session:
            document = await self._database["comments"].find_one({"_id": comment_id}, session=session)
            if document is None:
                return None
            likes = await self._uncounted_like(Fact.COMMENT_LIKE, comment_id, viewer_id, session)
        record = CommentRecord.from_document(document)
        return msgspec.structs.replace(record, like_count=record.like_count + likes)

    async def user(self, user_id: ObjectId, viewer_id: ObjectId) -> UserRecord | None:
        """A profile whose counts have what lies between it and the viewer."""
        async with self._client.start_session(snapshot=True) as session:
            secrets = {"password_hash": 0, "email": 0, "email_key": 0}
            document = await self._database["users"].find_one({"_id": user_id}, secrets, session=session)
            if document is None:
                return None
            follows = self._database["follows"]
            to = await follows.find_one({"follower_id": viewer_id, "followee_id": user_id}, session=session)
            back = await follows.find_one({"follower_id": user_id, "followee_id": viewer_id}, session=session)
        record = UserRecord.from_document(document)
        return msgspec.structs.replace(
            record,
            follower_count=record.follower_count + _follow_delta(to, "counted"),
            following_count=record.following_count + _follow_delta(back, "counted_following"),
        )

    async def _uncounted_like(self, fact: Fact, target_id: ObjectId, viewer_id: ObjectId, session: Session) -> int:
        query = {"target_id": target_id, "user_id": viewer_id}
        like = await self._database[f"{fact.value}s"].find_one(query, session=session)
        return 0 if like is None else _delta(like["liked"], like)


def _delta(wanted: Any, fact: Document, flag: str = "counted") -> int:
    return int(bool(wanted)) - int(bool(fact.get(flag)))


def _follow_delta(follow: Document | None, flag: str) -> int:
    return 0 if follow is None else _delta(follow["state"] == FollowState.FOLLOWING.value, follow, flag)


def _preview(post: PostRecord, uncounted: list[Document]) -> list[ObjectId]:
    gone = {one["_id"] for one in uncounted if one["deleted"]}
    added = {one["_id"] for one in uncounted if not one["deleted"] and one["parent_id"] is None}
    return sorted(added | set(post.preview_comment_ids) - gone, reverse=True)[:PREVIEW_COMMENTS]
