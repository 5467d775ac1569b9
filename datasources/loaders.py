"""The loaders of one GraphQL operation: one for each access path, named after what it finds by what key.

They are made for every operation, so nobody sees what another viewer loaded, or what was true before a change. The
`visible_*` loaders answer None for what the viewer may not see, as for what does not exist. `met_user_by_id` is for
people in lists, where viewers do not meet those whom they have blocked; `blocked_user_by_id` finds only those.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain, product
from typing import TypeVar

from bson import ObjectId

from datasources.caches import Caches
from datasources.concurrency.loader import Loader
from datasources.graph.viewer_relations import Pair
from datasources.redis.read_through import Beside, Cache, Load
from datasources.s3.url_loader import UrlLoader
from datasources.sources import Sources
from datasources.viewer_loaders import ViewerLoaders, found_by_ids
from domain.records.comments import CommentRecord
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostRecord
from domain.records.saves import CollectionRecord
from domain.records.topics import HashtagRecord, PlaceRecord
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from domain.topics import is_listed
from domain.usernames import typed_handle
from domain.visibility import (
    STRANGERS,
    Relation,
    as_restricted,
    can_meet,
    can_show_tag,
    can_view_blocked,
    can_view_collection,
    can_view_comment,
    can_view_content,
    can_view_notification,
    can_view_post,
    can_view_profile,
)

Key = TypeVar("Key")
Value = TypeVar("Value")
Authored = TypeVar("Authored", PostRecord, CommentRecord)
Owned = TypeVar("Owned", PostRecord, CommentRecord, CollectionRecord)


def _users_by_rule(
    rule: Callable[[UserRecord, Relation], bool],
) -> cached_property[Loader[ObjectId, UserRecord | None]]:
    async def load(loaders: "Loaders", user_ids: Sequence[ObjectId]) -> Sequence[UserRecord | None]:
        users, relations = await loaders.people(user_ids)
        return [
            user if user is not None and rule(user, relation) else None
            for user, relation in zip(users, relations, strict=True)
        ]

    return found_by_ids(load)


class Loaders(ViewerLoaders):
    """All loaders, for one viewer (None for a stranger).

    Posts, comments, users and relations are read through the caches. With `stored` they are read from the database, for
    an operation that decides by them what it writes. Relations of one who `is_restricted` are `as_restricted`.
    """

    def __init__(
        self, sources: Sources, viewer_id: ObjectId | None, *, stored: bool = False, is_restricted: bool = False
    ) -> None:
        super().__init__(sources, viewer_id, stored=stored)
        self._is_restricted = is_restricted
        self.with_previews = False  # the comments below posts will be asked for too: they are read together

    @found_by_ids
    async def user_by_id(self, user_ids: Sequence[ObjectId]) -> Sequence[UserRecord | None]:
        return await self._read(self._sources.caches.users, user_ids, self._sources.users.readable_by_ids)

    @found_by_ids
    async def post_by_id(self, post_ids: Sequence[ObjectId]) -> Sequence[PostRecord | None]:
        posts, comment_ids = self._sources.caches.posts, list[ObjectId]()
        if self.with_previews:
            comment_ids = [each for post in posts.latest(post_ids) if post for each in post.preview_comment_ids]
        return await self._read_by_people(posts, post_ids, self._sources.posts.readable_by_ids, comment_ids)

    @found_by_ids
    async def comment_by_id(self, comment_ids: Sequence[ObjectId]) -> Sequence[CommentRecord | None]:
        return await self._read_by_people(
            self._sources.caches.comments, comment_ids, self._sources.comments.readable_by_ids
        )

    @found_by_ids
    async def upload_by_id(self, upload_ids: Sequence[ObjectId]) -> Sequence[UploadRecord | None]:
        return await self._sources.uploads.readable_by_ids(upload_ids)

    @found_by_ids
    async def notification_by_id(self, notification_ids: Sequence[ObjectId]) -> Sequence[NotificationRecord | None]:
        return await self._sources.notifications.readable_by_ids(notification_ids)

    @cached_property
    def url_by_key(self) -> UrlLoader:
        return UrlLoader(self._sources.blobs)

    @found_by_ids
    async def relation_by_user(self, user_ids: Sequence[ObjectId]) -> Sequence[Relation]:
        if self._viewer_id is None:
            return [STRANGERS] * len(user_ids)
        pairs = [(self._viewer_id, user_id) for user_id in user_ids]
        found = await self._read(self._sources.caches.relations, pairs, self._sources.relations.by_pairs)
        return list(map(as_restricted, found)) if self._is_restricted else found

    visible_user_by_id = _users_by_rule(can_view_profile)
    blocked_user_by_id = _users_by_rule(can_view_blocked)
    met_user_by_id = _users_by_rule(can_meet)

    @cached_property
    def tagged_user_by_pair(self) -> Loader[Pair, UserRecord | None]:
        """The tagged person of each pair of author and tagged person; None if the tag is not shown."""
        return Loader(self._tagged_users)

    async def _tagged_users(self, pairs: Sequence[Pair]) -> Sequence[UserRecord | None]:
        (users, relations), apart = await asyncio.gather(
            self.people([user_id for _, user_id in pairs]), self._sources.relations.blocked_pairs(set(pairs))
        )
        return [
            user if user is not None and can_show_tag(user, relation, is_apart=pair in apart) else None
            for pair, user, relation in zip(pairs, users, relations, strict=True)
        ]

    @cached_property
    def turns_of_mutual_followers(self) -> asyncio.Semaphore:
        """How many pages of mutual followers one operation reads at once."""
        return asyncio.Semaphore(2)

    @found_by_ids
    async def mutual_followers_by_user(self, user_ids: Sequence[ObjectId]) -> Sequence[Sequence[UserRecord]]:
        """Whom the viewer follows, latest first, and who follow each user; nobody where followers are hidden."""
        users, relations = await self.people(user_ids)
        people = zip(users, relations, strict=True)
        open_ids = [user.id for user, relation in people if user is not None and can_view_content(user, relation)]
        if self._viewer_id is None or self._is_restricted or not open_ids:
            return [()] * len(user_ids)
        found = await self._sources.discovery.mutual_followers.of_users(self._viewer_id, open_ids)
        follower_ids = list(set(chain.from_iterable(found.values())))
        followers = dict(zip(follower_ids, await self.met_user_by_id.load_many(follower_ids), strict=True))
        of_users = [[followers[follower_id] for follower_id in found.get(user_id, ())] for user_id in user_ids]
        return [[each for each in met if each is not None] for met in of_users]

    @found_by_ids
    async def visible_post_by_id(self, post_ids: Sequence[ObjectId]) -> Sequence[PostRecord | None]:
        posts = await self.post_by_id.load_many(post_ids)
        return await self._visible(posts, can_view_post)

    @found_by_ids
    async def visible_collection_by_id(self, collection_ids: Sequence[ObjectId]) -> Sequence[CollectionRecord | None]:
        collections = await self._sources.saved.collections.readable_by_ids(collection_ids)
        return await self._visible(collections, can_view_collection, of="owner_id")

    @found_by_ids
    async def listed_post_by_id(self, post_ids: Sequence[ObjectId]) -> Sequence[PostRecord | None]:
        """Posts as a list of a topic shows them: visible to strangers too, and of people who are not muted."""
        posts = await self.visible_post_by_id.load_many(post_ids)
        people = zip(*await self.people([post.author_id for post in posts if post is not None]), strict=True)
        authors = {author.id: author for author, relation in people if author is not None and not relation.has_muted}
        return [post if post is not None and is_listed(post, authors.get(post.author_id)) else None for post in posts]

    @found_by_ids
    async def place_by_id(self, place_ids: Sequence[ObjectId]) -> Sequence[PlaceRecord | None]:
        return await self._sources.listings.places.by_ids(place_ids)

    @found_by_ids
    async def hashtag_by_id(self, topic_ids: Sequence[ObjectId]) -> Sequence[HashtagRecord | None]:
        return await self._sources.listings.topics.hashtags_by_ids(topic_ids)

    @cached_property
    def hashtag_by_name(self) -> Loader[str, HashtagRecord]:
        return Loader(self._sources.listings.topics.hashtags)

    @found_by_ids
    async def visible_comment_by_id(self, comment_ids: Sequence[ObjectId]) -> Sequence[CommentRecord | None]:
        comments = await self.comment_by_id.load_many(comment_ids)
        parent_ids = [each.parent_id for each in comments if each is not None and each.parent_id is not None]
        parents = await self.comment_by_id.load_many(parent_ids) if parent_ids else []
        both = [comment for comment in (*comments, *parents) if comment is not None]
        posts = await self.visible_post_by_id.load_many([comment.post_id for comment in both])
        on_visible = [comment for comment, post in zip(both, posts, strict=True) if post is not None]
        seen = {comment.id for comment in await self._visible(on_visible, can_view_comment) if comment is not None}
        return [
            comment
            if comment is not None and comment.id in seen and (comment.parent_id is None or comment.parent_id in seen)
            else None
            for comment in comments
        ]

    async def visible_notifications(
        self, notifications: Sequence[NotificationRecord]
    ) -> Sequence[NotificationRecord | None]:
        """These notifications in their order, None for one that the viewer may not see."""
        posts, comments, people = await asyncio.gather(
            self.visible_post_by_id.load_many({each.post_id for each in notifications if each.post_id}),
            self.visible_comment_by_id.load_many({each.comment_id for each in notifications if each.comment_id}),
            self.met_user_by_id.load_many({actor_id for each in notifications for actor_id in each.actor_ids}),
        )
        visible_ids = {record.id for record in (*posts, *comments, *people) if record is not None}
        return [each if can_view_notification(each, self._viewer_id, visible_ids) else None for each in notifications]

    def release(self) -> None:
        """Lets go of the loaders made so far. They refer back to this, so only the garbage collector would free them.

        Whoever holds one of them may go on to use it.
        """
        made = vars(self)
        for name in [name for name, value in made.items() if isinstance(value, Loader)]:
            del made[name]

    async def _read(self, cache: Cache[Key, Value], keys: Sequence[Key], load: Load[Key, Value]) -> Sequence[Value]:
        return await (load(keys) if self._stored else cache.read(keys, load))

    async def _read_by_people(
        self,
        cache: Cache[ObjectId, Authored | None],
        ids: Sequence[ObjectId],
        load: Load[ObjectId, Authored | None],
        comment_ids: Sequence[ObjectId] = (),
    ) -> Sequence[Authored | None]:
        """Records, and beside them these comments and what the rules will ask of the authors of all of them.

        The authors are guessed from earlier reads.
        """
        if self._stored:
            return await load(ids)
        caches: Caches = self._sources.caches
        viewer_ids = [] if self._viewer_id is None else [self._viewer_id]
        latest = [*cache.latest(ids), *caches.comments.latest(comment_ids)]
        unknown = self.user_by_id.unknown([record.author_id for record in latest if record is not None])
        users = Beside(caches.users, unknown)
        relations = Beside(caches.relations, list(product(viewer_ids, unknown)))
        comments = Beside(caches.comments, comment_ids)
        marks = Beside(caches.like_marks, viewer_ids)
        records = await cache.read(ids, load, beside=(users, relations, comments, marks))
        self.user_by_id.prime(*users.found(unknown))
        if not self._is_restricted:
            self.relation_by_user.prime(*relations.found(unknown))
        self.comment_by_id.prime(*comments.found(comment_ids))
        if self._like_mark is None:
            self._like_mark = next(iter(marks.found(viewer_ids)[1]), None)
        return records

    async def id_by_handle(self, handle: str) -> ObjectId | None:
        """The account with this handle, as `UserStore.by_username` finds it, which is not asked for known accounts.

        Whoever shows the account asks a `visible_*` loader for it.
        """
        users = self._sources.users
        user_id = users.remembered_id(handle)
        if user_id is not None:
            (known,), _ = await self.people([user_id])
            if known is not None and known.username.lower() == typed_handle(handle).lower():
                return user_id
        account = await users.by_username(handle)
        return None if account is None else account.id

    async def people(self, user_ids: Sequence[ObjectId]) -> tuple[list[UserRecord | None], list[Relation]]:
        """These users in their order, None for one who does not exist, and the viewer's relations to them."""
        users, relations = self.user_by_id.load_many(user_ids), self.relation_by_user.load_many(user_ids)
        if not (users.done() and relations.done()):
            await asyncio.gather(users, relations)
        return users.result(), relations.result()

    def past_caches(self) -> "Loaders":
        """Loaders of their own for the same viewer, which read from the database. The caller releases them."""
        return Loaders(self._sources, self._viewer_id, stored=True, is_restricted=self._is_restricted)

    async def _visible(
        self,
        records: Sequence[Owned | None],
        rule: Callable[[Owned, UserRecord, Relation], bool],
        of: str = "author_id",
    ) -> list[Owned | None]:
        """These records in their order; None for one that does not exist, without author, or against the rule."""
        users, relations = await self.people([getattr(record, of) for record in records if record is not None])
        people = zip(users, relations, strict=True)
        visible: list[Owned | None] = []
        for record in records:
            author, relation = (None, STRANGERS) if record is None else next(people)
            is_visible = record is not None and author is not None and rule(record, author, relation)
            visible.append(record if is_visible else None)
        return visible
