"""The post or the comment that a mutation is about: whether the viewer may see it, and what they did to it.

All of it is read from one snapshot, in one operation. So the mutation can answer from it, with its own write added.

A snapshot holds what the majority of a replica set has. A query may have shown what the primary alone had a moment
before. So what is not there, or not to be seen, is read once more as the primary has it.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from bson import ObjectId

from datasources.graph.joined_relations import join_relations, joined_relation
from datasources.mongo.client import Database, Document
from datasources.mongo.joined_reads import find_joined, first, join, snapshot_of
from datasources.mongo.lenient_reads import readable
from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.read_your_writes import (
    USER_FIELDS,
    join_own_comments,
    join_own_like,
    own_comments,
    with_own_acts,
    with_own_like,
)
from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import Relation, as_restricted, can_view_comment, can_view_post

_People = Mapping[ObjectId, tuple[UserRecord, Relation]]


class PostTarget(msgspec.Struct, frozen=True):
    """A post that the viewer may see, their like of it, and those of their comments that are not counted yet."""

    post: PostRecord
    like: Document | None
    comments: Sequence[Document]

    @property
    def with_own_acts(self) -> PostRecord:
        """The post with what the viewer has done already."""
        return with_own_acts(self.post, self.like, self.comments)

    def with_like(self, *, liked: bool) -> PostRecord:
        """The post after the viewer liked it, or took that back."""
        return with_own_acts(self.post, _as_chosen(self.like, liked=liked), self.comments)

    def with_comment(self, comment: CommentRecord) -> PostRecord:
        """The post after the viewer added this comment."""
        added = {"_id": comment.id, "parent_id": comment.parent_id, "deleted": False}
        return with_own_acts(self.post, self.like, [*self.comments, added])


class CommentTarget(msgspec.Struct, frozen=True):
    """A comment, whether the viewer may see it, its post if they may see that, and their like of the comment."""

    comment: CommentRecord
    is_visible: bool
    post: PostRecord | None
    like: Document | None

    def with_like(self, *, liked: bool) -> CommentRecord:
        """The comment after the viewer liked it, or took that back."""
        return with_own_like(self.comment, _as_chosen(self.like, liked=liked))


class Targets:
    """Reads of what mutations are about."""

    def __init__(self, database: Database, sharded_ids: ShardedIds) -> None:
        self._sharded_ids = sharded_ids
        self._with_author = partial(sharded_ids.with_accounts, "author_id")
        self._posts = snapshot_of(database, "posts"), database["posts"]
        self._comments = snapshot_of(database, "comments"), database["comments"]

    async def post(self, post_id: ObjectId, viewer_id: ObjectId, *, with_comments: bool) -> PostTarget | None:
        """A post; None if the viewer may not see it. Without `with_comments` none of the viewer's comments are read."""
        of_post = self._sharded_ids.comments([post_id])
        stages = [
            join("users", "users", on=("author_id", "_id"), fields=USER_FIELDS),
            *join_relations("author_id", viewer_id),
            join_own_like("post_likes", post_id, viewer_id),
            *(join_own_comments(post_id, viewer_id, of_post) if with_comments else ()),
        ]
        for posts in self._posts:
            found = await find_joined(posts, post_id, stages, self._with_author)
            if found is None:
                continue
            document, joined = found
            post = _visible_post(document, _people(joined, viewer_id))
            if post is not None:
                return PostTarget(post, first(joined["likes"]), own_comments(joined) if with_comments else [])
        return None

    async def comment(
        self, comment_id: ObjectId, viewer_id: ObjectId, *, is_restricted: bool = False
    ) -> CommentTarget | None:
        """A comment, also one that is hidden, deleted or not for the viewer; None if there is none.

        The relations of one who `is_restricted` are `as_restricted`.
        """
        authors = {"$setUnion": [["$author_id"], "$joined.parents.author_id", "$joined.posts.author_id"]}
        stages: list[Document] = [
            join("comments", "parents", on=("parent_id", "_id"), where=self._sharded_ids.parent(comment_id)),
            join("posts", "posts", on=("post_id", "_id"), where=self._with_author([comment_id])),
            {"$set": {"people": authors}},
            join("users", "users", on=("people", "_id"), fields=USER_FIELDS),
            *join_relations("people", viewer_id),
            join_own_like("comment_likes", comment_id, viewer_id),
        ]
        target: CommentTarget | None = None
        for comments in self._comments:
            found = await find_joined(comments, comment_id, stages, self._sharded_ids.comments)
            target = None if found is None else _comment_target(*found, viewer_id, is_restricted=is_restricted)
            if target is not None and target.is_visible:
                break
        return target


def _comment_target(
    document: Document, joined: Mapping[str, Sequence[Document]], viewer_id: ObjectId, *, is_restricted: bool
) -> CommentTarget | None:
    comment, people = readable(CommentRecord, document), _people(joined, viewer_id)
    if comment is None:
        return None
    if is_restricted:
        people = {user_id: (user, as_restricted(relation)) for user_id, (user, relation) in people.items()}
    post = _visible_post(first(joined["posts"]), people)
    thread: list[CommentRecord | None] = [comment]
    if comment.parent_id is not None:
        thread.append(readable(CommentRecord, first(joined["parents"])))
    is_visible = post is not None and all(_is_comment_visible(each, people) for each in thread)
    return CommentTarget(comment, is_visible, post, first(joined["likes"]))


def _people(joined: Mapping[str, Sequence[Document]], viewer_id: ObjectId) -> _People:
    users = [readable(UserRecord, document) for document in joined["users"]]
    return {user.id: (user, joined_relation(joined, viewer_id, user.id)) for user in users if user is not None}


def _visible_post(document: Document | None, people: _People) -> PostRecord | None:
    post = readable(PostRecord, document)
    is_visible = post is not None and post.author_id in people and can_view_post(post, *people[post.author_id])
    return post if is_visible else None


def _is_comment_visible(comment: CommentRecord | None, people: _People) -> bool:
    return comment is not None and comment.author_id in people and can_view_comment(comment, *people[comment.author_id])


def _as_chosen(like: Document | None, *, liked: bool) -> Document:
    return {**(like or {}), "liked": liked}
