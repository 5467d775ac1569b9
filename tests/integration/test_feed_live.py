"""feedUpdated: the number of new posts when it changes, by a message or by checking, whatever happens to Redis."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from redis.exceptions import ConnectionError as RedisConnectionError

from datasources.concurrency.background_writes import BackgroundWrites
from datasources.feed import live_listeners
from datasources.feed.live_listeners import FeedListeners, feed_topic
from domain.limits import NEW_POSTS_COUNTED_MAX
from resolvers import feed_live
from tests.support.emptying import wipe_redis
from tests.support.factories import World, now
from tests.support.feed_live import listeners_key, listening, read, reader_and_author
from tests.support.waiting import eventually

RANKED = "{ feed(first: 5, order: RANKED) { edges { node { id } } } }"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_live, "FEED_EVENT_SECONDS", 0.05)


@pytest.fixture
def _polling_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_live, "POLL_SECONDS", 0.2)


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
            return await world.redis.zscore(listeners_key(world), str(reader.id)) is not None

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
    await world.redis.zadd(listeners_key(world), {str(lapsed): time.time() - 1})
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
    await world.redis.zadd(listeners_key(world), {str(lapsed): time.time() - 1})
    await world.sources.feed_listeners.note_listening(ObjectId())
    assert await world.redis.zscore(listeners_key(world), str(lapsed)) is None


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
