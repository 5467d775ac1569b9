"""Read your writes: a thing as it stands, with the viewer's own acts that the counting worker has not reached yet.

The thing and the viewer's facts are read from one snapshot, so an act is never left out and never counted twice.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo.batched import MongoBatcher
from datasources.mongo.client import Client, Database, Document, Session, time_limit
from datasources.mongo.readable import readable
from domain.jobs import Fact, Task
from domain.limits import PREVIEW_COMMENTS
from domain.records.comments import CommentRecord
from domain.records.follows import FollowState
from domain.records.posts import PostRecord
from domain.records.users import UserRecord

MAX_BATCH = 100  # posts read from one snapshot


class _Ask(msgspec.Struct, frozen=True):
    """A post as one viewer should see it."""

    post_id: ObjectId
    viewer_id: ObjectId


class ReadYourWrites:
    """Reads of single things for the answers of mutations."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database
        self._posts = MongoBatcher(self._read_posts, MAX_BATCH)

    async def post(self, post_id: ObjectId, viewer_id: ObjectId) -> PostRecord | None:
        """A post whose counts and previews have the viewer's own like and comments."""
        return await self._posts.submit(_Ask(post_id, viewer_id), time_limit(self._database["posts"]))

    async def comment(self, comment_id: ObjectId, viewer_id: ObjectId) -> CommentRecord | None:
        """A comment whose count has the viewer's own like."""
        async with self._client.start_session(snapshot=True) as session:
            document = await self._database["comments"].find_one({"_id": comment_id}, session=session)
            if document is None:
                return None
            likes = await self._uncounted_like(Fact.COMMENT_LIKE, comment_id, viewer_id, session)
        record = readable(CommentRecord, document)
        return record and msgspec.structs.replace(record, like_count=record.like_count + likes)

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
        record = readable(UserRecord, document)
        return record and msgspec.structs.replace(
            record,
            follower_count=record.follower_count + _follow_delta(to, "counted"),
            following_count=record.following_count + _follow_delta(back, "counted_following"),
        )

    async def _read_posts(self, asked: Sequence[_Ask]) -> list[PostRecord | None]:
        """The posts that simultaneous mutations answer with: three operations, however many they are."""
        post_ids = list({one.post_id for one in asked})
        likes: list[Document] = [{"target_id": one.post_id, "user_id": one.viewer_id} for one in set(asked)]
        comments: list[Document] = [
            {"post_id": one.post_id, name: one.viewer_id, "outbox": Task.COUNT.value}
            for one in set(asked)
            for name in ("author_id", "deleted_by")
        ]
        async with self._client.start_session(snapshot=True) as session:
            found = await self._database["posts"].find({"_id": {"$in": post_ids}}, session=session).to_list()
            liked = await self._database["post_likes"].find({"$or": likes}, session=session).to_list()
            said = await self._database["comments"].find({"$or": comments}, session=session).to_list()
        posts = {post.id: post for post in (readable(PostRecord, document) for document in found) if post is not None}
        own_likes = {_Ask(like["target_id"], like["user_id"]): like for like in liked}
        own_comments: dict[_Ask, list[Document]] = {}
        for comment in said:
            for viewer_id in {comment["author_id"], comment.get("deleted_by")}:
                own_comments.setdefault(_Ask(comment["post_id"], viewer_id), []).append(comment)
        return [
            _with_own(posts[one.post_id], own_likes.get(one), own_comments.get(one, []))
            if one.post_id in posts
            else None
            for one in asked
        ]

    async def _uncounted_like(self, fact: Fact, target_id: ObjectId, viewer_id: ObjectId, session: Session) -> int:
        query = {"target_id": target_id, "user_id": viewer_id}
        like = await self._database[f"{fact.value}s"].find_one(query, session=session)
        return 0 if like is None else _delta(like["liked"], like)


def _delta(wanted: Any, fact: Document, flag: str = "counted") -> int:
    return int(bool(wanted)) - int(bool(fact.get(flag)))


def _follow_delta(follow: Document | None, flag: str) -> int:
    return 0 if follow is None else _delta(follow["state"] == FollowState.FOLLOWING.value, follow, flag)


def _with_own(post: PostRecord, like: Document | None, comments: list[Document]) -> PostRecord:
    return msgspec.structs.replace(
        post,
        like_count=post.like_count + (_delta(like["liked"], like) if like else 0),
        comment_count=post.comment_count
        + sum(_delta(not one["deleted"] and not one.get("hidden"), one) for one in comments),
        preview_comment_ids=_preview(post, comments),
    )


def _preview(post: PostRecord, uncounted: list[Document]) -> list[ObjectId]:
    gone = {one["_id"] for one in uncounted if one["deleted"]}
    added = {one["_id"] for one in uncounted if not one["deleted"] and one["parent_id"] is None}
    return sorted(added | set(post.preview_comment_ids) - gone, reverse=True)[:PREVIEW_COMMENTS]
