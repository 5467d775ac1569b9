"""feedUpdated: the number of new posts when it changes, by a message or by checking, whatever happens to Redis."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from redis.exceptions import ConnectionError as RedisConnectionError

from datasources.concurrency.background_writes import BackgroundWrites
from datasources.feed import home_feed, live_listeners
from datasources.feed.live_listeners import FeedListeners, feed_topic
from datasources.redis.cache_server import CacheDown
from domain.ids import to_global_id
from domain.limits import NEW_POSTS_COUNTED_MAX
from domain.records.users import UserRecord
from resolvers import feed_live
from resolvers.api import schema
from schema.context import Context
from tests.support.emptying import wipe_redis
from tests.support.factories import World, now, session_of
from tests.support.fan_outs import feeds_with
from tests.support.waiting import eventually
from workers.handlers.fan_out import fan_out

LIVE = "subscription { feedUpdated { newPostCount } }"
LATEST = "{ feed(first: 5) { edges { node { id } } } }"
RANKED = "{ feed(first: 5, order: RANKED) { edges { node { id } } } }"
Counts = AsyncGenerator[int]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_live, "FEED_EVENT_SECONDS", 0.05)


@pytest.fixture
def _polling_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_live, "POLL_SECONDS", 0.2)


async def _counts(world: World, viewer: UserRecord) -> Counts:
    stream: Any = await schema.subscribe(LIVE, context_value=Context(world.sources, session_of(viewer), "test"))
    async with contextlib.aclosing(stream):
        async for result in stream:
            assert result.errors is None
            yield result.data["feedUpdated"]["newPostCount"]


@contextlib.asynccontextmanager
async def listening(world: World, viewer: UserRecord) -> AsyncGenerator[Callable[[], Any]]:
    """A function that waits for the next count. The block begins once the viewer is known to listen."""
    counts = _counts(world, viewer)
    received = asyncio.Queue[int]()

    async def pump() -> None:
        async for count in counts:
            await received.put(count)

    task = asyncio.create_task(pump())
    channel = f"{world.sources.settings.key_prefix}news:{feed_topic(viewer.id)}"

    async def is_heard() -> bool:
        ((_, heard),) = await world.redis.pubsub_numsub(channel)
        lapse = await world.redis.zscore(_key(world), str(viewer.id))
        return bool(heard) and lapse is not None

    try:
        await eventually(is_heard)
        yield lambda: asyncio.wait_for(received.get(), 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await counts.aclose()


def _key(world: World) -> str:
    return f"{world.sources.settings.key_prefix}feeds:listening"


async def reader_and_author(world: World) -> tuple[UserRecord, UserRecord]:
    """A reader, and somebody they follow."""
    reader, author = await world.users(2)
    await world.follow(reader, author)
    await world.drain()
    await read(world, reader)
    return reader, author


async def read(world: World, reader: UserRecord, document: str = LATEST) -> None:
    """Reads the feed, and waits until that is recorded."""
    before = await world.sources.feed_listeners.note_listening(reader.id)
    result = await world.execute(document, reader)
    assert result.errors is None
    assert result.data is not None
    if result.data["feed"]["edges"]:

        async def is_noted() -> bool:
            return await world.sources.feed_listeners.note_listening(reader.id) != before

        await eventually(is_noted)


async def test_new_posts_and_reading_them_change_the_count_at_once(world: World) -> None:
    reader, author = await reader_and_author(world)
    async with listening(world, reader) as next_count:
        await world.post(author)
        await world.drain()
        assert await next_count() == 1
        await world.post(author)
        await world.drain()
        assert await next_count() == 2
        await read(world, reader)
        assert await next_count() == 0


async def test_reading_the_ranked_feed_counts_as_reading(world: World) -> None:
    reader, author = await reader_and_author(world)
    async with listening(world, reader) as next_count:
        await world.post(author)
        await world.drain()
        assert await next_count() == 1
        await read(world, reader, RANKED)
        assert await next_count() == 0


async def test_a_returning_reader_gets_the_count_of_posts_since_the_last_read(world: World) -> None:
    reader, author = await reader_and_author(world)
    await world.post(author)
    await world.drain()
    await read(world, reader)
    for _ in range(3):
        await world.post(author)
    await world.drain()
    async with listening(world, reader) as next_count:
        assert await next_count() == 3


async def test_a_burst_of_posts_is_counted_once_in_each_pause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, author = await reader_and_author(world)
    monkeypatch.setattr(feed_live, "FEED_EVENT_SECONDS", 3600.0)
    note_listening, calls = world.sources.feed_listeners.note_listening, list[ObjectId]()

    async def counted(_self: Any, owner_id: ObjectId) -> ObjectId | None:
        calls.append(owner_id)
        return await note_listening(owner_id)

    monkeypatch.setattr("datasources.feed.live_listeners.FeedListeners.note_listening", counted)
    channel = feed_topic(reader.id)
    async with world.sources.news.listen(channel) as news, listening(world, reader):
        for _ in range(3):
            news.clear()
            await world.post(author)
            await world.drain()
            await asyncio.wait_for(news.wait(), 20)
        assert calls == [reader.id]


async def test_counting_stops_at_fifty(world: World) -> None:
    reader, author = await reader_and_author(world)
    for _ in range(NEW_POSTS_COUNTED_MAX + 3):
        await world.post(author)
    await world.drain()
    await world.sources.feed_listeners.set_read(reader.id, ObjectId("0" * 24))
    async with listening(world, reader) as next_count:
        assert await next_count() == NEW_POSTS_COUNTED_MAX


async def test_own_deleted_and_muted_posts_are_not_counted(world: World) -> None:
    reader, author = await reader_and_author(world)
    muted = await world.user()
    await world.follow(reader, muted)
    await world.sources.mutes.mute(reader.id, muted.id)
    async with listening(world, reader) as next_count:
        await world.post(reader)
        await world.post(muted)
        gone = await world.post(author)
        await world.sources.posts.delete(gone.id, author.id, now())
        await world.drain()
        await world.post(author)
        await world.drain()
        assert await next_count() == 1


@pytest.mark.usefixtures("_polling_often")
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


@pytest.mark.usefixtures("_polling_often")
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


@pytest.mark.usefixtures("_polling_often")
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


@pytest.mark.usefixtures("_polling_often")
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


@pytest.mark.usefixtures("_polling_often")
async def test_a_reader_whose_feed_is_pulled_is_told_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, author = await reader_and_author(world)
    monkeypatch.setattr(world.sources.feed_states, "limit", 0)
    feed = await world.sources.feed_states.find(reader.id)
    assert feed is not None
    assert await world.sources.feed_states.stop_pushing(feed) is not None
    await read(world, reader)
    async with listening(world, reader) as next_count:
        await world.post(author)
        assert await next_count() == 1
        await read(world, reader)
        assert await next_count() == 0


@pytest.mark.usefixtures("_polling_often")
async def test_new_posts_without_a_message_are_found_by_checking(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, author = await reader_and_author(world)

    async def deaf(*_topics: str) -> None:
        return

    monkeypatch.setattr(world.sources.news, "publish", deaf)
    async with listening(world, reader) as next_count:
        await world.post(author)
        await world.drain()
        assert await next_count() == 1


@pytest.mark.usefixtures("_polling_often")
async def test_after_redis_was_emptied_listeners_get_news_and_old_posts_are_not_new(world: World) -> None:
    reader, author = await reader_and_author(world)
    await world.post(author)
    await world.drain()
    await read(world, reader)
    async with listening(world, reader) as next_count:
        await wipe_redis(world)

        async def listens_again() -> bool:
            return await world.redis.zscore(_key(world), str(reader.id)) is not None

        await eventually(listens_again)
        await world.post(author)
        await world.drain()
        assert await next_count() == 1


async def test_the_same_newest_post_is_noted_once_in_some_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners, redis = world.sources.feed_listeners, world.redis
    owner_id, older, newer, marker_id = (ObjectId() for _ in range(4))

    async def stored(of: ObjectId) -> Any:
        return await redis.get(f"{world.sources.settings.key_prefix}feeds:read:{of}")

    async def note(post_id: ObjectId) -> Any:
        """What is stored for the owner after this; without the marker nobody could tell that nothing was written."""
        listeners.note_read(owner_id, post_id)
        marker = ObjectId()
        listeners.note_read(marker_id, marker)

        async def is_marked() -> bool:
            return bool(await stored(marker_id) == marker.binary)

        await eventually(is_marked)
        return await stored(owner_id)

    assert await note(older) == older.binary
    await wipe_redis(world)
    assert await note(older) is None
    assert await note(newer) == newer.binary
    await wipe_redis(world)
    monkeypatch.setattr(live_listeners, "NOTED_SECONDS", 0.0)
    assert await note(older) == older.binary
    await wipe_redis(world)
    assert await note(older) == older.binary


async def test_notifying_ten_thousand_followers_publishes_only_to_the_two_who_listen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ObjectId(), ObjectId()
    for owner_id in (first, second):
        await world.sources.feed_listeners.note_listening(owner_id)
    lapsed = ObjectId()
    await world.redis.zadd(_key(world), {str(lapsed): time.time() - 1})
    published: list[str] = []

    async def publish(*topics: str) -> None:
        published.extend(topics)

    monkeypatch.setattr(world.sources.news, "publish", publish)
    followers = [*(ObjectId() for _ in range(9_997)), first, lapsed, second]
    for start in range(0, len(followers), 1_000):
        await world.sources.feed_listeners.notify(followers[start : start + 1_000])
    assert sorted(published) == sorted([feed_topic(first), feed_topic(second)])


async def test_listeners_that_left_are_removed(world: World) -> None:
    lapsed = ObjectId()
    await world.redis.zadd(_key(world), {str(lapsed): time.time() - 1})
    await world.sources.feed_listeners.note_listening(ObjectId())
    assert await world.redis.zscore(_key(world), str(lapsed)) is None


async def test_without_redis_nothing_fails_and_redis_is_not_asked_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def refuse(*_given: Any, **_more: Any) -> None:
        asked.append("once more")
        raise RedisConnectionError

    live = FeedListeners(world.sources.redis.news, uuid4().hex, world.sources.news, BackgroundWrites())
    monkeypatch.setattr(world.redis, "zmscore", refuse)
    for _ in range(50):
        await live.notify([ObjectId()])
    assert await live.note_listening(ObjectId()) is None, "Redis is not asked again at once"
    assert len(asked) == 1
