"""What users do while things break. Each action is retried until it is acknowledged, as an app would do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Protocol

import httpx2
from bson import ObjectId

from config import Settings
from datasources.jobs.idempotency import Idempotency
from datasources.mongo.sharded_ids import new_id_beside
from datasources.outages import is_outage
from datasources.sources import open_sources
from domain.image_formats import SourceFormat
from domain.records.posts import PostDraft, PostImage, PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, image, now
from tests.support.uploads import put_file, sha256_base64
from tests.support.waiting import eventually

PATIENCE = 300.0
PAUSE = 0.05


class Action(Protocol):
    """Something that happens once, however often it is tried."""

    async def do(self, world: World) -> None: ...


@dataclass(frozen=True)
class Like:
    """A user likes a post, which is idempotent."""

    user_id: ObjectId
    post_id: ObjectId

    async def do(self, world: World) -> None:
        await world.sources.post_likes.like(self.post_id, self.user_id, now())


@dataclass(frozen=True)
class Save:
    """A user saves a post, which is idempotent."""

    user_id: ObjectId
    post_id: ObjectId

    async def do(self, world: World) -> None:
        await world.sources.saved.posts.save(self.user_id, self.post_id, now())


@dataclass(frozen=True)
class Comment:
    """A user comments on a post, with an idempotency key."""

    user_id: ObjectId
    post_id: ObjectId
    key: str

    async def do(self, world: World) -> None:
        key = Idempotency.of(self.key, "addComment", {"postId": str(self.post_id)})
        await world.sources.commenting.add(
            self.post_id, self.user_id, self.key, now(), new_id=new_id_beside(self.post_id), idempotency=key
        )


@dataclass(frozen=True)
class Follow:
    """A user follows a public account, which is idempotent."""

    user_id: ObjectId
    followee_id: ObjectId

    async def do(self, world: World) -> None:
        await world.sources.follows.follow(self.user_id, self.followee_id, is_private=False, now=now())


@dataclass(frozen=True)
class Publish:
    """A user makes a post of this JPEG, with an idempotency key. Without a JPEG, its image has no files in storage."""

    user_id: ObjectId
    key: str
    data: bytes = b""

    async def do(self, world: World) -> None:
        keyed = {"key": self.key}
        key = Idempotency.of(self.key, "createUpload", keyed)
        uploads = world.sources.uploads
        upload = await uploads.announce(
            self.user_id, SourceFormat.JPEG, len(self.data), sha256_base64(self.data), now(), key
        )
        if self.data:
            async with httpx2.AsyncClient(timeout=20) as http:
                sent = await put_file(world, upload, self.data, http)
            assert sent.is_success or sent.status_code == httpx2.codes.PRECONDITION_FAILED, sent.text  # it is there
        else:
            await uploads.record_image(upload.id, image(upload.id))
        draft = PostDraft(images=[PostImage(upload_id=upload.id)], caption=self.key)
        await world.sources.publishing.create(self.user_id, draft, now(), Idempotency.of(self.key, "createPost", keyed))
        await uploads.check_now([upload.id])


def random_actions(
    rng: Random, users: Sequence[UserRecord], posts: Sequence[PostRecord], size: int, data: Callable[[], bytes] = bytes
) -> list[Action]:
    """Likes (half), comments, follows and new posts (of `data()`) in random order, and a tenth more saves.

    No like, follow or save comes twice.
    """
    pairs = [(user.id, post.id) for user in users for post in posts]
    others = [(user.id, other.id) for user in users for other in users if user is not other]
    actions: list[Action] = [Like(user_id, post_id) for user_id, post_id in rng.sample(pairs, size // 2)]
    actions += [Follow(user_id, other_id) for user_id, other_id in rng.sample(others, size // 5)]
    actions += [Publish(users[n % len(users)].id, f"post {n}", data()) for n in range(size // 40)]
    actions += [Comment(*rng.choice(pairs), f"comment {n}") for n in range(size - len(actions))]
    actions += [Save(user_id, post_id) for user_id, post_id in rng.sample(pairs, size // 10)]
    rng.shuffle(actions)
    return actions


async def likes_and_comments(world: World, likes: int, rng: Random) -> tuple[list[PostRecord], list[Action]]:
    """Likes of distinct pairs of user and post, and a comment for every twentieth, in random order."""
    authors, users = await world.users(4), await world.users(likes // 20)
    posts = [await world.post(author) for author in authors for _ in range(5)]
    await world.drain()
    pairs = [(user.id, post.id) for user in users for post in posts]
    comments = [Comment(user_id, post_id, f"{user_id} on {post_id}") for user_id, post_id in pairs[::20]]
    actions: list[Action] = [*(Like(user_id, post_id) for user_id, post_id in pairs), *comments]
    rng.shuffle(actions)
    return posts, actions


@asynccontextmanager
async def writers(settings: Settings, number: int = 4) -> AsyncIterator[list[World]]:
    """Worlds with connections of their own, as different API processes have them."""
    async with AsyncExitStack() as stack:
        yield [World(await stack.enter_async_context(open_sources(settings))) for _ in range(number)]


class Progress:
    """The actions acknowledged so far, in that order, and the number of retries."""

    def __init__(self) -> None:
        self.acknowledged: list[Action] = []
        self.retries = 0

    async def wait_for(self, number: int) -> None:
        """Waits until so many actions are acknowledged."""

        async def is_reached() -> bool:
            return len(self.acknowledged) >= number

        await eventually(is_reached, seconds=PATIENCE, every=0.002)


async def carry_out(writers: Sequence[World], actions: Iterable[Action], progress: Progress) -> None:
    """Does all actions, each writer one at a time. Retries what an outage left unacknowledged."""
    left = iter(actions)

    async def write(world: World) -> None:
        for action in left:
            while not await _is_done(world, action):
                progress.retries += 1
                await asyncio.sleep(PAUSE)
            progress.acknowledged.append(action)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for world in writers:
            group.create_task(write(world))


async def _is_done(world: World, action: Action) -> bool:
    try:
        await action.do(world)
    except Exception as error:
        if not is_outage(error):
            raise
        return False
    return True
