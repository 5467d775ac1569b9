"""feedUpdated tells of a post only when the reader's pages show it, and is not held up for ever by a cache."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from bson import ObjectId

from datasources.feed import home_feed
from datasources.feed.live_listeners import FeedListeners
from datasources.redis.cache_server import CacheDown
from domain.ids import to_global_id
from domain.records.users import UserRecord
from resolvers import feed_live
from tests.support.factories import World
from tests.support.fan_outs import feeds_with
from tests.support.feed_live import LATEST, listening, read, reader_and_author
from tests.support.waiting import eventually
from workers.handlers.fan_out import fan_out


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_live, "FEED_EVENT_SECONDS", 0.05)
    monkeypatch.setattr(feed_live, "POLL_SECONDS", 0.2)


async def test_who_is_told_of_a_post_can_read_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is written, and the first pages without it are still cached, when the listener looks by itself."""
    reader, author = await reader_and_author(world)
    await world.drain()
    await read(world, reader)
    first_pages = world.sources.caches.first_pages
    assert (await first_pages.cached([reader.id]))[reader.id] is not None
    monkeypatch.setattr(world.sources.feed_entries, "_first_pages", waiting := WaitingCache(reader.id))
    async with listening(world, reader) as next_count:
        post = await world.post(author)
        async with asyncio.TaskGroup() as group:
            group.create_task(fan_out(world.tools, str(post.id)))
            assert await next_count() == 1
            assert await feeds_with(world, post.id) == {reader.id}
            assert await latest(world, reader) == [to_global_id("Post", post.id)]
            waiting.is_over.set()


@pytest.mark.parametrize("told", [1, 2])
async def test_who_has_read_and_is_told_of_no_more_posts_than_before_can_read_them(
    world: World, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    """They read, and another entry is written, in one pause of the listener, and it is not invalidated yet."""
    reader, author = await reader_and_author(world)
    is_pausing, is_over = asyncio.Event(), asyncio.Event()
    note_listening = FeedListeners.note_listening

    async def after_the_pause(self: FeedListeners, owner_id: ObjectId) -> ObjectId | None:
        is_pausing.set()
        await is_over.wait()
        return await note_listening(self, owner_id)

    async with listening(world, reader) as next_count:
        for number in range(told):
            await world.post(author)
            await world.drain()
            assert await next_count() == number + 1
        monkeypatch.setattr(FeedListeners, "note_listening", after_the_pause)
        await asyncio.wait_for(is_pausing.wait(), 20)
        newest = (await latest(world, reader))[0]
        await eventually(lambda: has_read(world, reader, newest))
        monkeypatch.setattr(world.sources.feed_entries, "_first_pages", waiting := WaitingCache(reader.id))
        post = await world.post(author)
        async with asyncio.TaskGroup() as group:
            group.create_task(fan_out(world.tools, str(post.id)))
            await asyncio.wait_for(waiting.is_waiting.wait(), 20)
            is_over.set()
            assert await next_count() == 1
            assert (await latest(world, reader))[0] == to_global_id("Post", post.id)
            waiting.is_over.set()


async def has_read(world: World, reader: UserRecord, newest: str) -> bool:
    """Whether it is noted that a reader has read up to this post."""
    noted = await world.redis.get(f"{world.sources.settings.key_prefix}feeds:read:{reader.id}")
    return noted is not None and to_global_id("Post", ObjectId(noted)) == newest


async def latest(world: World, reader: UserRecord) -> list[str]:
    """The global ids of the newest posts that the feed shows."""
    result = await world.execute(LATEST, reader)
    assert result.data is not None
    return [edge["node"]["id"] for edge in result.data["feed"]["edges"]]


class WaitingCache:
    """First pages that a fan-out is about to invalidate, once it has put a post into the reader's feed."""

    def __init__(self, reader_id: ObjectId) -> None:
        self._reader_id = reader_id
        self.is_waiting, self.is_over = asyncio.Event(), asyncio.Event()

    async def must_invalidate(self, owner_ids: Iterable[ObjectId]) -> None:
        if self._reader_id in owner_ids:
            self.is_waiting.set()
            await self.is_over.wait()


async def test_nobody_is_told_while_cached_pages_cannot_be_invalidated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, author = await reader_and_author(world)
    monkeypatch.setattr(home_feed, "RETRY_SECONDS", 0.01)
    must_invalidate, tries = world.sources.caches.first_pages.must_invalidate, asyncio.Semaphore(0)
    is_down = True

    async def try_to(owner_ids: Any) -> None:
        tries.release()
        if is_down:
            raise CacheDown
        await must_invalidate(owner_ids)

    await world.post(author)
    await world.drain()
    monkeypatch.setattr(world.sources.caches.first_pages, "must_invalidate", try_to)
    await world.sources.feed_listeners.set_read(reader.id, ObjectId("0" * 24))
    async with listening(world, reader) as next_count:
        told = asyncio.create_task(next_count())
        for _ in range(3):
            await asyncio.wait_for(tries.acquire(), 20)
        assert not told.done()
        is_down = False
        assert await told == 1


async def test_they_are_told_once_all_cached_pages_have_expired(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, author = await reader_and_author(world)
    monkeypatch.setattr(home_feed, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(home_feed, "MAX_LIFE_SECONDS", 0.1)

    async def never(_owner_ids: object) -> None:
        raise CacheDown

    await world.post(author)
    await world.drain()
    monkeypatch.setattr(world.sources.caches.first_pages, "must_invalidate", never)
    await world.sources.feed_listeners.set_read(reader.id, ObjectId("0" * 24))
    async with listening(world, reader) as next_count:
        assert await next_count() == 1
