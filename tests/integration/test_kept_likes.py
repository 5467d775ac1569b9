"""A viewer's likes are read once, and again when the viewer likes anything on any process."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId

from config import Settings
from datasources.loaders import Loaders
from datasources.mongo.upserts import update_each
from datasources.posts import kept_likes, likes
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now, opened
from tests.support.operation_counter import OperationCounter
from tests.support.own_databases import own_database

pytestmark = pytest.mark.usefixtures("patient_caches")


@pytest.fixture(scope="module")
def operations() -> OperationCounter:
    return OperationCounter()


@pytest.fixture(scope="module")
async def world(shared_settings: Settings, operations: OperationCounter) -> AsyncIterator[World]:
    """Sources whose operations are counted."""
    with own_database(shared_settings) as settings:
        async with opened(settings, [operations]) as world:
            yield world


class Reader:
    """One process, as its viewer's operations see likes."""

    def __init__(self, world: World, viewer: UserRecord, posts: list[PostRecord]) -> None:
        self._world = world
        self._viewer = viewer
        self._ids = [post.id for post in posts]

    async def likes(self) -> list[bool]:
        """Whether the viewer likes each of the posts, in an operation that reads the posts first."""
        loaders = Loaders(self._world.sources, self._viewer.id)
        await loaders.visible_post_by_id.load_many(self._ids)
        found = await loaders.viewer_like_by_post.load_many(self._ids)
        return [like is not None and like.liked for like in found]

    async def warm(self) -> list[bool]:
        for _ in range(2):  # the second time the posts are cached, too
            found = await self.likes()
        return found


@pytest.fixture
async def scene(world: World) -> tuple[UserRecord, list[PostRecord]]:
    ana, bob = await world.users(2)
    return bob, [await world.post(ana) for _ in range(4)]


def finds(operations: OperationCounter) -> int:
    return operations.counts["find post_likes"]


async def test_likes_are_read_once(
    world: World, scene: tuple[UserRecord, list[PostRecord]], operations: OperationCounter
) -> None:
    bob, posts = scene
    await world.sources.post_likes.like(posts[1].id, bob.id, now())
    reader = Reader(world, bob, posts)
    assert await reader.warm() == [False, True, False, False]
    before = finds(operations)
    assert [await reader.likes() for _ in range(3)] == [[False, True, False, False]] * 3
    assert finds(operations) == before
    other_posts = Reader(world, bob, [*posts[2:], await world.post(bob)])
    assert await other_posts.warm() == [False] * 3
    assert finds(operations) <= before + 3


@pytest.mark.parametrize("writer_is_other", [False, True])
async def test_a_like_shows_at_once_on_every_process(
    world: World, other: World, scene: tuple[UserRecord, list[PostRecord]], writer_is_other: bool
) -> None:
    bob, posts = scene
    readers = [Reader(each, bob, posts) for each in (world, other)]
    writer = (other if writer_is_other else world).sources.post_likes
    expected = [False] * 4
    for step in range(12):
        for reader in readers:
            assert await reader.warm() == expected
        target = step % 4
        expected[target] = not expected[target]
        await (writer.like if expected[target] else writer.unlike)(posts[target].id, bob.id, now())
        for reader in readers:
            assert await reader.likes() == expected, "the first read after the answer"


async def test_what_is_written_while_likes_are_read_shows_in_the_next_operation(
    world: World, scene: tuple[UserRecord, list[PostRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, posts = scene
    reader = Reader(world, bob, posts)
    read, began, go_on = world.sources.post_likes.by_targets, asyncio.Event(), asyncio.Event()

    async def slowly(user_id: ObjectId, target_ids: Any) -> Any:
        found = await read(user_id, target_ids)
        began.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(world.sources.post_likes, "by_targets", slowly)
    reading = asyncio.create_task(reader.likes())
    async with asyncio.timeout(30):
        await began.wait()
    await world.sources.post_likes.like(posts[0].id, bob.id, now())
    go_on.set()
    await reading
    assert await reader.likes() == [True, False, False, False]


async def test_a_write_that_fails_removes_the_mark_too(
    world: World, scene: tuple[UserRecord, list[PostRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The like was written, but its writer does not know."""
    bob, posts = scene
    reader = Reader(world, bob, posts)
    await reader.warm()

    write = update_each

    async def write_and_fail(*given: Any) -> bool:
        await write(*given)
        raise ConnectionError("after the write")

    monkeypatch.setattr(likes, "update_each", write_and_fail)
    with pytest.raises(ConnectionError):
        await world.sources.post_likes.like(posts[3].id, bob.id, now())
    assert await reader.likes() == [False, False, False, True]


async def test_likes_taken_back_by_a_deletion_show(world: World, scene: tuple[UserRecord, list[PostRecord]]) -> None:
    bob, posts = scene
    for post in posts:
        await world.sources.post_likes.like(post.id, bob.id, now())
    reader = Reader(world, bob, posts)
    assert await reader.warm() == [True] * 4
    await world.sources.post_likes.unlike_by_user(bob.id, now(), 10)
    assert await reader.likes() == [False] * 4


async def test_nobody_sees_another_s_likes(world: World, scene: tuple[UserRecord, list[PostRecord]]) -> None:
    bob, posts = scene
    eve = await world.user()
    await world.sources.post_likes.like(posts[0].id, bob.id, now())
    assert await Reader(world, bob, posts).warm() == [True, False, False, False]
    assert await Reader(world, eve, posts).warm() == [False] * 4
    assert await Reader(world, bob, posts).likes() == [True, False, False, False]


async def test_likes_are_kept_no_longer_than_their_mark_lives(
    world: World,
    scene: tuple[UserRecord, list[PostRecord]],
    operations: OperationCounter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if a message to Redis is lost, or a like is changed in the database's shell."""
    bob, posts = scene
    reader = Reader(world, bob, posts)
    await reader.warm()
    before, present = finds(operations), time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: present() + kept_likes.MARK_SECONDS + 1)
    await reader.likes()
    assert finds(operations) == before + 1


async def test_what_is_kept_is_bounded(
    world: World, scene: tuple[UserRecord, list[PostRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, posts = scene
    monkeypatch.setattr(kept_likes, "KEPT_MAX", 10)
    kept = kept_likes.KeptLikes(world.sources.post_likes)
    for number in range(30):
        await kept.by_targets(bob.id, [post.id for post in posts], str(number).encode())
        halves = (kept._newer, kept._older)
        assert sum(len(each) for half in halves for each in half.values()) <= 20
