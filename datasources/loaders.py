"""The dataloaders of one GraphQL operation: one for each access path, named after the question.

Made anew for every operation, so nobody sees what somebody else loaded, nor what was true before a change. The
`visible_*` loaders answer None for what the viewer may not see, as for what does not exist; `met_user_by_id` is for
people among others, where a viewer meets nobody whom they have blocked, and `blocked_user_by_id` for those they have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cached_property
from typing import TypeVar

from bson import ObjectId
from strawberry.dataloader import DataLoader

from datasources.graph.relations import Pair
from datasources.sources import Sources
from domain.interests import Interest
from domain.records.comments import CommentRecord
from domain.records.likes import LikeRecord
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostRecord
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from domain.visibility import (
    STRANGERS,
    Relation,
    can_meet,
    can_show_tag,
    can_view_blocked,
    can_view_comment,
    can_view_notification,
    can_view_post,
    can_view_profile,
)

Key = TypeVar("Key")
Found = TypeVar("Found")
Batch = Callable[[Sequence[Key]], Awaitable[Sequence[Found]]]


class _Loader(DataLoader[Key, Found]):
    def load_many(self, keys: Iterable[Key]) -> Awaitable[list[Found]]:
        """As the parent's, which has the event loop call back for every key; these all come with one batch."""
        return _all([self.load(key) for key in keys])


async def _all(futures: Sequence[Awaitable[Found]]) -> list[Found]:
    try:
        return [await future for future in futures]
    except BaseException:
        for future in futures:  # they failed together; the first one speaks for the others
            if isinstance(future, asyncio.Future) and future.done() and not future.cancelled():
                future.exception()
        raise


def _loader(batch: Batch[Key, Found]) -> DataLoader[Key, Found]:
    async def load(keys: list[Key]) -> Sequence[Found]:
        return await batch(keys)

    return _Loader(load)


class Loaders:
    """All loaders, for one viewer (None for anybody).

    Posts, users and relations come through the caches, unless what is decided by them is going to be written: those
    who write need what is `stored`.
    """

    def __init__(self, sources: Sources, viewer_id: ObjectId | None, *, stored: bool = False) -> None:
        self._sources = sources
        self._viewer_id = viewer_id
        self._caches = None if stored else sources.caches

    @cached_property
    def user_by_id(self) -> DataLoader[ObjectId, UserRecord | None]:
        return _loader(self._users)

    @cached_property
    def post_by_id(self) -> DataLoader[ObjectId, PostRecord | None]:
        return _loader(self._posts)

    @cached_property
    def comment_by_id(self) -> DataLoader[ObjectId, CommentRecord | None]:
        return _loader(self._sources.comments.readable_by_ids)

    @cached_property
    def upload_by_id(self) -> DataLoader[ObjectId, UploadRecord | None]:
        return _loader(self._sources.uploads.readable_by_ids)

    @cached_property
    def notification_by_id(self) -> DataLoader[ObjectId, NotificationRecord | None]:
        return _loader(self._sources.notifications.by_ids)

    @cached_property
    def signed_url_by_key(self) -> DataLoader[str, str]:
        return _loader(self._sources.blobs.signed_urls)

    @cached_property
    def relation_by_user(self) -> DataLoader[ObjectId, Relation]:
        return _loader(self._relations)

    @cached_property
    def viewer_like_by_post(self) -> DataLoader[ObjectId, LikeRecord | None]:
        return _loader(self._post_likes)

    @cached_property
    def viewer_like_by_comment(self) -> DataLoader[ObjectId, LikeRecord | None]:
        return _loader(self._comment_likes)

    @cached_property
    def interest_by_author(self) -> DataLoader[ObjectId, Interest | None]:
        return _loader(self._interests)

    @cached_property
    def visible_user_by_id(self) -> DataLoader[ObjectId, UserRecord | None]:
        return _loader(self._visible_users)

    @cached_property
    def blocked_user_by_id(self) -> DataLoader[ObjectId, UserRecord | None]:
        return _loader(self._blocked_users)

    @cached_property
    def tagged_user_by_pair(self) -> DataLoader[Pair, UserRecord | None]:
        return _loader(self._tagged_users)

    @cached_property
    def met_user_by_id(self) -> DataLoader[ObjectId, UserRecord | None]:
        return _loader(self._met_users)

    @cached_property
    def visible_post_by_id(self) -> DataLoader[ObjectId, PostRecord | None]:
        return _loader(self._visible_posts)

    @cached_property
    def visible_comment_by_id(self) -> DataLoader[ObjectId, CommentRecord | None]:
        return _loader(self._visible_comments)

    async def visible_notifications(self, found: Sequence[NotificationRecord]) -> Sequence[NotificationRecord | None]:
        """These notifications in their order, None for one that the viewer may not see or no longer."""
        posts, comments, people = await asyncio.gather(
            self.visible_post_by_id.load_many({one.post_id for one in found if one.post_id is not None}),
            self.visible_comment_by_id.load_many({one.comment_id for one in found if one.comment_id is not None}),
            self.met_user_by_id.load_many({actor_id for one in found for actor_id in one.actor_ids}),
        )
        shown = {one.id for one in (*posts, *comments, *people) if one is not None}
        return [one if can_view_notification(one, self._viewer_id, shown) else None for one in found]

    async def _users(self, user_ids: Sequence[ObjectId]) -> Sequence[UserRecord | None]:
        load = self._sources.users.readable_by_ids
        return await (load(user_ids) if self._caches is None else self._caches.users.read(user_ids, load))

    async def _posts(self, post_ids: Sequence[ObjectId]) -> Sequence[PostRecord | None]:
        load = self._sources.posts.readable_by_ids
        return await (load(post_ids) if self._caches is None else self._caches.posts.read(post_ids, load))

    async def _relations(self, user_ids: Sequence[ObjectId]) -> Sequence[Relation]:
        if self._viewer_id is None:
            return [STRANGERS] * len(user_ids)
        pairs, load = [(self._viewer_id, user_id) for user_id in user_ids], self._sources.relations.by_pairs
        return await (load(pairs) if self._caches is None else self._caches.relations.read(pairs, load))

    async def _post_likes(self, post_ids: Sequence[ObjectId]) -> Sequence[LikeRecord | None]:
        if self._viewer_id is None:
            return [None] * len(post_ids)
        return await self._sources.post_likes.by_targets(self._viewer_id, post_ids)

    async def _comment_likes(self, comment_ids: Sequence[ObjectId]) -> Sequence[LikeRecord | None]:
        if self._viewer_id is None:
            return [None] * len(comment_ids)
        return await self._sources.comment_likes.by_targets(self._viewer_id, comment_ids)

    async def _interests(self, author_ids: Sequence[ObjectId]) -> Sequence[Interest | None]:
        stored = None if self._viewer_id is None else await self._sources.interests.find(self._viewer_id)
        found = {} if stored is None else {one.author_id: one for one in stored.authors}
        return [found.get(author_id) for author_id in author_ids]

    async def _visible_users(self, user_ids: Sequence[ObjectId]) -> Sequence[UserRecord | None]:
        return await self._users_if(can_view_profile, user_ids)

    async def _blocked_users(self, user_ids: Sequence[ObjectId]) -> Sequence[UserRecord | None]:
        return await self._users_if(can_view_blocked, user_ids)

    async def _met_users(self, user_ids: Sequence[ObjectId]) -> Sequence[UserRecord | None]:
        return await self._users_if(can_meet, user_ids)

    async def _tagged_users(self, pairs: Sequence[Pair]) -> Sequence[UserRecord | None]:
        """For each pair of author and tagged person: the tagged person, None if the tag is not shown."""
        people, apart = await asyncio.gather(
            self._people({user_id for _, user_id in pairs}), self._sources.relations.blocked_pairs(set(pairs))
        )
        return [
            people[user_id][0]
            if user_id in people and can_show_tag(*people[user_id], is_apart=(author_id, user_id) in apart)
            else None
            for author_id, user_id in pairs
        ]

    async def _users_if(
        self, rule: Callable[[UserRecord, Relation], bool], user_ids: Sequence[ObjectId]
    ) -> Sequence[UserRecord | None]:
        people = await self._people(set(user_ids))
        return [people[one][0] if one in people and rule(*people[one]) else None for one in user_ids]

    async def _visible_posts(self, post_ids: Sequence[ObjectId]) -> Sequence[PostRecord | None]:
        posts = await self.post_by_id.load_many(post_ids)
        people = await self._people({post.author_id for post in posts if post is not None})
        return [
            post
            if post is not None and post.author_id in people and can_view_post(post, *people[post.author_id])
            else None
            for post in posts
        ]

    async def _visible_comments(self, comment_ids: Sequence[ObjectId]) -> Sequence[CommentRecord | None]:
        comments = await self.comment_by_id.load_many(comment_ids)
        above = {comment.parent_id for comment in comments if comment is not None and comment.parent_id is not None}
        found = [one for one in (*comments, *await self.comment_by_id.load_many(above)) if one is not None]
        posts = await self.visible_post_by_id.load_many({comment.post_id for comment in found})
        readable = {post.id for post in posts if post is not None}
        people = await self._people({comment.author_id for comment in found})
        shown = {
            one.id
            for one in found
            if one.post_id in readable and one.author_id in people and can_view_comment(one, *people[one.author_id])
        }
        return [one if one is not None and {one.id, one.parent_id or one.id} <= shown else None for one in comments]

    async def _people(self, user_ids: set[ObjectId]) -> dict[ObjectId, tuple[UserRecord, Relation]]:
        ids = list(user_ids)
        users, relations = await asyncio.gather(self.user_by_id.load_many(ids), self.relation_by_user.load_many(ids))
        return {user.id: (user, relation) for user, relation in zip(users, relations, strict=True) if user is not None}
