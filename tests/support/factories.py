"""A world of users and posts in real stores, and the running of their pending jobs."""

import contextlib
import copy
import itertools
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId
from pymongo.monitoring import CommandListener
from redis.asyncio import Redis
from strawberry.types import ExecutionResult

from config import Settings
from datasources.media.images import Move
from datasources.mongo.sharded_ids import new_id
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources, open_sources, prepare
from domain.image_formats import RenditionFormat
from domain.jobs import Job
from domain.limits import RENDITION_WIDTHS
from domain.paging import Page, PageRequest
from domain.records.comments import CommentRecord
from domain.records.images import ImageRecord, RenditionRecord, TagRecord
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostDraft, PostImage, PostRecord
from domain.records.users import AccountStanding, SessionRecord, UserRecord, UserState
from domain.visibility import Area
from resolvers.api import schema
from schema.context import Context
from workers.runtime.drain import drain
from workers.runtime.handler import Tools

_numbers = itertools.count(1)


def now() -> datetime:
    """The time to the millisecond, as MongoDB stores it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def changed_sources(sources: Sources, **changes: object) -> Sources:
    """A copy of the sources in which some are replaced."""
    changed = copy.copy(sources)
    vars(changed).update(changes)
    return changed


@dataclass(frozen=True)
class World:
    """Open sources, and short ways to make things happen in them."""

    sources: Sources
    tools: Tools = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", Tools(sources=self.sources))

    @property
    def redis(self) -> Redis:
        """The server of everything that is in Redis, where there is one."""
        (redis,) = {redis for servers in self.sources.redis for redis in servers.all}
        return redis

    async def redis_keys(self, pattern: str = "*") -> list[bytes]:
        """The keys of this world that match, on whatever servers they are."""
        servers = {redis for servers in self.sources.redis for redis in servers.all}
        match = f"{self.sources.settings.key_prefix}{pattern}"
        return [key for redis in servers async for key in redis.scan_iter(match=match, count=1000)]

    def redis_of(self, key: bytes | str) -> Redis:
        """The server of a key, where caches, queues and news have the same servers."""
        return self.sources.redis.queue.of(key if isinstance(key, str) else key.decode())

    async def user(self, *, is_private: bool = False) -> UserRecord:
        """A new account that nobody follows. It has no usable password; `tests/e2e` registers properly."""
        name = f"user{next(_numbers)}_{secrets.token_hex(3)}"
        return await self.sources.users.register(
            name,
            f"{name}@example.com",
            "no hash",
            name.title(),
            now(),
            is_private=is_private,
            email_verified_at=now(),
        )

    async def users(self, count: int) -> list[UserRecord]:
        """Several new accounts."""
        return [await self.user() for _ in range(count)]

    async def post(
        self,
        author: UserRecord,
        *,
        caption: str = "",
        tagged: Sequence[UserRecord] = (),
        pending: Collection[ObjectId] = (),
        **draft: Any,
    ) -> PostRecord:
        """A READY post of one image, whose files are not in storage. Its tasks are pending.

        Those of the tagged people whose ids are in `pending` have yet to approve it.
        """
        return await self.publish(await self.draft(author, caption=caption, **draft), tagged=tagged, pending=pending)

    async def draft(self, author: UserRecord, **draft: Any) -> PostRecord:
        """A PROCESSING post whose upload does not exist."""
        described = PostDraft(images=[PostImage(upload_id=new_id(author.id))], **draft)
        return await self.sources.publishing.create(author.id, described, now())

    async def publish(
        self, post: PostRecord, *, tagged: Sequence[UserRecord] = (), pending: Collection[ObjectId] = ()
    ) -> PostRecord:
        """Makes a PROCESSING post READY and returns it as stored."""
        author = await self.stored_user(post.author_id)
        tags = [TagRecord(user_id=user.id, x=0.5, y=0.5, is_pending=user.id in pending) for user in tagged]
        area = Area.PRIVATE if author.is_private else Area.PUBLIC
        with_tags = msgspec.structs.replace(image(post.image_inputs[0].upload_id, area), tagged_users=tags)
        await self.sources.images.publish(post.id, [Move(with_tags, with_tags)], now())
        return await self.stored_post(post.id)

    async def follow(self, follower: UserRecord, followee: UserRecord) -> None:
        """As `followUser`."""
        await self.sources.follows.follow(follower.id, followee.id, is_private=followee.is_private, now=now())

    async def open_feeds(self, *owners: UserRecord) -> None:
        """Reads the home feeds of these users, which makes them live: from then on posts are pushed to them."""
        for owner in owners:
            await self.sources.home_feed.page(owner.id, PageRequest(limit=1))
        await self.drain()

    async def comment(self, post: PostRecord, author: UserRecord, text: str = "nice", **rest: Any) -> CommentRecord:
        """As `addComment`."""
        return await self.sources.commenting.add(
            post.id, author.id, text, now(), **{"new_id": new_id(post.author_id), **rest}
        )

    async def drain(self) -> set[Job]:
        """Runs all pending jobs. Returns those that wait for something else to happen."""
        return await drain(self.tools)

    async def stored_post(self, post_id: ObjectId) -> PostRecord:
        """A post as it is stored; fails if there is none."""
        (post,) = await self.sources.posts.by_ids([post_id])
        assert post is not None
        return post

    async def stored_user(self, user_id: ObjectId) -> UserRecord:
        """An account as it is stored; fails if there is none."""
        (user,) = await self.sources.users.by_ids([user_id])
        assert user is not None
        return user

    async def set_standing(
        self, user: UserRecord, standing: AccountStanding, *, by: ObjectId | None = None
    ) -> UserRecord:
        """Gives an account a standing, as a decision does; its sessions stay. The account as it is stored then."""
        given = partial(self.sources.moderation.standings.set, user.id, standing, now(), by=by or ObjectId())
        changed = await in_transaction(self.sources.client, given)
        assert changed is not None
        await self.sources.moderation.standings.enqueue(changed)
        return await self.stored_user(user.id)

    async def stored_comment(self, comment_id: ObjectId) -> CommentRecord:
        """A comment as it is stored; fails if there is none."""
        (comment,) = await self.sources.comments.by_ids([comment_id])
        assert comment is not None
        return comment

    async def inbox(self, user: UserRecord) -> list[NotificationRecord]:
        """A user's notifications, latest first."""
        page = await self.sources.notifications.of_recipient(user.id, PageRequest(limit=50))
        return items_of(page)

    async def execute(self, document: str, viewer: UserRecord | None, **variables: Any) -> ExecutionResult:
        """Runs an operation in this process, for a viewer."""
        session = None if viewer is None else session_of(viewer)
        context = Context(self.sources, session, "test")
        result = await schema.execute(document, variable_values=variables, context_value=context)
        assert isinstance(result, ExecutionResult)
        return result


def items_of(page: Page[Any]) -> list[Any]:
    """The items of a page, without their keys."""
    return [item for _, item in page.items]


def image(upload_id: ObjectId, area: Area = Area.PUBLIC, folder: str | None = None) -> ImageRecord:
    """An image with every rendition a photograph has; without a folder, its keys have the older form."""
    renditions = [
        RenditionRecord(
            key=f"{area.value}/{folder or upload_id}/0/{width}.{kind.value.lower()}",
            format=kind,
            width=width,
            height=width,
            byte_size=9,
        )
        for kind in (RenditionFormat.JPEG, RenditionFormat.WEBP)
        for width in RENDITION_WIDTHS
    ]
    return ImageRecord(
        id=upload_id,
        width=4000,
        height=3000,
        blur_hash="L6PZfSi_.AyE_3t7t7R**0o#DgR4",
        dominant_color="#336699",
        is_animated=False,
        renditions=renditions,
    )


def session_of(user: UserRecord) -> SessionRecord:
    """A session that is not stored, for operations in this process."""
    ends = now() + timedelta(hours=1)
    return SessionRecord(
        id=ObjectId(),
        user_id=user.id,
        created_at=now(),
        last_used_at=now(),
        access_expires_at=ends,
        is_restricted=user.state is UserState.SUSPENDED,
    )


def with_own_buckets(settings: Settings) -> Settings:
    """These settings with buckets of their own, for tests of what deletes files that no document names."""
    name = settings.aws_prefix.replace("_", "-")
    return settings.model_copy(update={"media_bucket": f"{name}media", "incoming_bucket": f"{name}incoming"})


@contextlib.asynccontextmanager
async def opened(settings: Settings, listeners: Sequence[CommandListener] = ()) -> AsyncIterator[World]:
    """A world in the servers of these settings, with its indexes and buckets."""
    await prepare(settings)
    async with open_sources(settings, listeners) as sources:
        yield World(sources)
