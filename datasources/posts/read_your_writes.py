"""Read your writes: counters together with the viewer's own facts that the counting worker has not reached yet.

The record and the viewer's facts are read from one snapshot, so no fact is left out or counted twice.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo.client import Database, Document
from datasources.mongo.joined_reads import JOINED, find_joined, first, join, snapshot_of
from datasources.mongo.lenient_reads import readable
from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.comments import is_comment_shown
from domain.jobs import Task
from domain.limits import PREVIEW_COMMENTS
from domain.records.comments import CommentRecord
from domain.records.follows import FollowState
from domain.records.posts import PostRecord
from domain.records.users import UserRecord

_COMMENT_FIELDS = dict.fromkeys(("parent_id", "deleted", "hidden", "counted"), 1)
USER_FIELDS = dict.fromkeys(UserRecord.__struct_encode_fields__, 1)  # so without secrets


class ReadYourWrites:
    """Reads of single records for the payloads of mutations; one operation each."""

    def __init__(self, database: Database, sharded_ids: ShardedIds) -> None:
        self._sharded_ids = sharded_ids
        self._posts = snapshot_of(database, "posts")
        self._users = snapshot_of(database, "users")

    async def post(self, post_id: ObjectId, viewer_id: ObjectId) -> PostRecord | None:
        """A post whose counts and preview include the viewer's own like and comments."""
        of_post = self._sharded_ids.comments([post_id])
        own = [join_own_like("post_likes", post_id, viewer_id), *join_own_comments(post_id, viewer_id, of_post)]
        where = partial(self._sharded_ids.with_accounts, "author_id")
        found = await find_joined(self._posts, post_id, own, where)
        if found is None:
            return None
        post, joined = readable(PostRecord, found[0]), found[1]
        return post and with_own_acts(post, first(joined["likes"]), own_comments(joined))

    async def user(self, user_id: ObjectId, viewer_id: ObjectId) -> UserRecord | None:
        """A user whose counts include the follows between the user and the viewer."""
        by_viewer = join("follows", "by_viewer", where={"follower_id": viewer_id, "followee_id": user_id})
        of_viewer = join("follows", "of_viewer", where={"follower_id": user_id, "followee_id": viewer_id})
        stages: list[Document] = [{"$project": USER_FIELDS}, by_viewer, of_viewer]
        found = await find_joined(self._users, user_id, stages)
        if found is None:
            return None
        record, joined = readable(UserRecord, found[0]), found[1]
        return record and msgspec.structs.replace(
            record,
            follower_count=record.follower_count + _follow_delta(first(joined["by_viewer"]), "counted"),
            following_count=record.following_count + _follow_delta(first(joined["of_viewer"]), "counted_following"),
        )


def join_own_like(collection: str, target_id: ObjectId, viewer_id: ObjectId) -> Document:
    """A stage that joins the viewer's like, as the list `likes` of one or none."""
    return join(collection, "likes", where={"target_id": target_id, "user_id": viewer_id})


def join_own_comments(post_id: ObjectId, viewer_id: ObjectId, of_post: Document) -> list[Document]:
    """Stages that join the uncounted comments of a post that the viewer added or deleted, for `own_comments`.

    `of_post` says where the post's comments lie.

    Only a post's author deletes others' comments. For everybody else the second stage finds nothing by the index, so it
    does not go through all uncounted comments of a popular post.
    """
    own_post = {"$cond": [{"$eq": ["$author_id", viewer_id]}, "$_id", None]}
    added = {"post_id": post_id, **of_post, "author_id": viewer_id, "outbox": Task.COUNT.value}
    deleted = {**of_post, "deleted_by": viewer_id, "outbox": Task.COUNT.value}
    return [
        {"$set": {f"{JOINED}.own_post": own_post}},
        join("comments", "comments", where=added, fields=_COMMENT_FIELDS),
        join("comments", "deleted", on=(f"{JOINED}.own_post", "post_id"), where=deleted, fields=_COMMENT_FIELDS),
    ]


def own_comments(joined: Mapping[str, Sequence[Document]]) -> list[Document]:
    """What the stages of `join_own_comments` have joined, each comment once."""
    return list({comment["_id"]: comment for comment in (*joined["comments"], *joined["deleted"])}.values())


def with_own_like(comment: CommentRecord, like: Document | None) -> CommentRecord:
    """A comment whose count includes this like, which was read from the same snapshot."""
    return msgspec.structs.replace(comment, like_count=comment.like_count + _like_delta(like))


def with_own_acts(post: PostRecord, like: Document | None, uncounted: Sequence[Document]) -> PostRecord:
    """A post whose counts and preview include these, which were read from the same snapshot or written since."""
    return msgspec.structs.replace(
        post,
        like_count=post.like_count + _like_delta(like),
        comment_count=post.comment_count + sum(_delta(is_comment_shown(comment), comment) for comment in uncounted),
        preview_comment_ids=_preview(post, uncounted),
    )


def _delta(counts: Any, fact: Document, flag: str = "counted") -> int:
    return int(bool(counts)) - int(bool(fact.get(flag)))


def _like_delta(like: Document | None) -> int:
    return 0 if like is None else _delta(like["liked"], like)


def _follow_delta(follow: Document | None, flag: str) -> int:
    return 0 if follow is None else _delta(follow["state"] == FollowState.FOLLOWING.value, follow, flag)


def _preview(post: PostRecord, uncounted: Sequence[Document]) -> list[ObjectId]:
    deleted = {comment["_id"] for comment in uncounted if comment["deleted"]}
    added = {comment["_id"] for comment in uncounted if not comment["deleted"] and comment["parent_id"] is None}
    return sorted(added | set(post.preview_comment_ids) - deleted, reverse=True)[:PREVIEW_COMMENTS]
