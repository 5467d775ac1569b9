"""Read your writes: counters together with the viewer's own facts that the counting worker has not reached yet.

The record and the viewer's facts are read from one snapshot, so no fact is left out or counted twice.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo.batched_operations import MongoBatcher
from datasources.mongo.client import Client, Database, Document, time_limit
from datasources.mongo.lenient_reads import readable
from datasources.posts.comments import is_comment_shown
from domain.jobs import Task
from domain.limits import PREVIEW_COMMENTS
from domain.records.comments import CommentRecord
from domain.records.follows import FollowState
from domain.records.posts import PostRecord
from domain.records.users import UserRecord

MAX_BATCH = 100  # posts read from one snapshot


class _PostRead(msgspec.Struct, frozen=True):
    """A read of a post for one viewer."""

    post_id: ObjectId
    viewer_id: ObjectId


class ReadYourWrites:
    """Reads of single records for the payloads of mutations."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database
        self._posts = MongoBatcher(self._read_posts, MAX_BATCH)

    async def post(self, post_id: ObjectId, viewer_id: ObjectId) -> PostRecord | None:
        """A post whose counts and preview include the viewer's own like and comments."""
        return await self._posts.submit(_PostRead(post_id, viewer_id), time_limit(self._database["posts"]))

    async def comment(self, comment_id: ObjectId, viewer_id: ObjectId) -> CommentRecord | None:
        """A comment whose count includes the viewer's own like."""
        async with self._client.start_session(snapshot=True) as session:
            document = await self._database["comments"].find_one({"_id": comment_id}, session=session)
            if document is None:
                return None
            query = {"target_id": comment_id, "user_id": viewer_id}
            like = await self._database["comment_likes"].find_one(query, session=session)
        record = readable(CommentRecord, document)
        return record and msgspec.structs.replace(record, like_count=record.like_count + _like_delta(like))

    async def user(self, user_id: ObjectId, viewer_id: ObjectId) -> UserRecord | None:
        """A user whose counts include the follows between the user and the viewer."""
        async with self._client.start_session(snapshot=True) as session:
            secrets = {"password_hash": 0, "email": 0, "email_key": 0}
            document = await self._database["users"].find_one({"_id": user_id}, secrets, session=session)
            if document is None:
                return None
            follows = self._database["follows"]
            by_viewer = await follows.find_one({"follower_id": viewer_id, "followee_id": user_id}, session=session)
            of_viewer = await follows.find_one({"follower_id": user_id, "followee_id": viewer_id}, session=session)
        record = readable(UserRecord, document)
        return record and msgspec.structs.replace(
            record,
            follower_count=record.follower_count + _follow_delta(by_viewer, "counted"),
            following_count=record.following_count + _follow_delta(of_viewer, "counted_following"),
        )

    async def _read_posts(self, reads: Sequence[_PostRead]) -> list[PostRecord | None]:
        """The posts of concurrent mutations: three operations, however many there are."""
        post_ids = list({read.post_id for read in reads})
        likes: list[Document] = [{"target_id": read.post_id, "user_id": read.viewer_id} for read in set(reads)]
        comments: list[Document] = [
            {"post_id": read.post_id, name: read.viewer_id, "outbox": Task.COUNT.value}
            for read in set(reads)
            for name in ("author_id", "deleted_by")
        ]
        async with self._client.start_session(snapshot=True) as session:
            post_rows = await self._database["posts"].find({"_id": {"$in": post_ids}}, session=session).to_list()
            like_rows = await self._database["post_likes"].find({"$or": likes}, session=session).to_list()
            comment_rows = await self._database["comments"].find({"$or": comments}, session=session).to_list()
        posts = {post.id: post for post in (readable(PostRecord, row) for row in post_rows) if post is not None}
        own_likes = {_PostRead(like["target_id"], like["user_id"]): like for like in like_rows}
        own_comments: dict[_PostRead, list[Document]] = {}
        for comment in comment_rows:
            for viewer_id in {comment["author_id"], comment.get("deleted_by")}:
                own_comments.setdefault(_PostRead(comment["post_id"], viewer_id), []).append(comment)
        return [
            _with_own(posts[read.post_id], own_likes.get(read), own_comments.get(read, []))
            if read.post_id in posts
            else None
            for read in reads
        ]


def _delta(counts: Any, fact: Document, flag: str = "counted") -> int:
    return int(bool(counts)) - int(bool(fact.get(flag)))


def _like_delta(like: Document | None) -> int:
    return 0 if like is None else _delta(like["liked"], like)


def _follow_delta(follow: Document | None, flag: str) -> int:
    return 0 if follow is None else _delta(follow["state"] == FollowState.FOLLOWING.value, follow, flag)


def _with_own(post: PostRecord, like: Document | None, comments: list[Document]) -> PostRecord:
    return msgspec.structs.replace(
        post,
        like_count=post.like_count + _like_delta(like),
        comment_count=post.comment_count + sum(_delta(is_comment_shown(comment), comment) for comment in comments),
        preview_comment_ids=_preview(post, comments),
    )


def _preview(post: PostRecord, uncounted: list[Document]) -> list[ObjectId]:
    deleted = {comment["_id"] for comment in uncounted if comment["deleted"]}
    added = {comment["_id"] for comment in uncounted if not comment["deleted"] and comment["parent_id"] is None}
    return sorted(added | set(post.preview_comment_ids) - deleted, reverse=True)[:PREVIEW_COMMENTS]
