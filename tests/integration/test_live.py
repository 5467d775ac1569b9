"""Live news: a doorbell that wakes whoever listens, also after Redis came back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from bson import ObjectId

from config import Settings
from datasources.notifications.notifications import notifications_topic
from datasources.redis import pubsub
from datasources.redis.pubsub import PUBLISH_SECONDS, Listener
from datasources.sources import Sources, open_sources
from tests.support.factories import World
from tests.support.operation_counter import OperationCounter
from tests.support.waiting import eventually


@pytest.fixture
async def other(world: World) -> AsyncIterator[Sources]:
    """A second process, as far as Redis can tell."""
    async with open_sources(world.sources.settings) as sources:
        yield sources


async def applied(news: Listener) -> None:
    """Waits for a wake, such as the one that comes with the subscription itself, and clears it."""
    await asyncio.wait_for(news.wait(), 5)
    news.clear()


async def subscribed(world: World, topic: str, listeners: int) -> None:
    """Waits until Redis knows of so many listening processes."""
    channel = f"{world.sources.settings.key_prefix}live:{topic}"

    async def is_so() -> bool:
        ((_, count),) = await world.sources.redis.pubsub_numsub(channel)
        return int(count) == listeners

    await eventually(is_so, seconds=5)


async def test_news_from_another_process_wakes_every_listener_of_the_topic(world: World, other: Sources) -> None:
    topic = uuid4().hex
    async with world.sources.live.listen(topic) as one, world.sources.live.listen(topic) as two:
        await subscribed(world, topic, 1)
        one.clear()
        two.clear()
        await other.live.publish(topic)
        await asyncio.wait_for(asyncio.gather(one.wait(), two.wait()), 2)


async def test_news_of_one_topic_wakes_nobody_else(world: World, other: Sources) -> None:
    mine, others = uuid4().hex, uuid4().hex
    async with world.sources.live.listen(mine) as news, world.sources.live.listen(others) as unheard:
        await subscribed(world, mine, 1)
        await subscribed(world, others, 1)
        news.clear()
        unheard.clear()
        await other.live.publish(mine)
        await asyncio.wait_for(news.wait(), 2)
        assert not unheard.is_set()


async def test_the_last_listener_ends_the_subscription(world: World) -> None:
    topic = uuid4().hex
    async with world.sources.live.listen(topic):
        async with world.sources.live.listen(topic):
            await subscribed(world, topic, 1)
        await subscribed(world, topic, 1)
    await subscribed(world, topic, 0)


async def test_listeners_are_woken_and_hear_again_after_a_lost_connection(world: World, other: Sources) -> None:
    topic = uuid4().hex
    async with world.sources.live.listen(topic) as news:
        await subscribed(world, topic, 1)
        news.clear()
        await world.sources.redis.client_kill_filter(_type="pubsub")
        await asyncio.wait_for(news.wait(), 5)  # something may have been missed: look
        await subscribed(world, topic, 1)
        news.clear()
        await other.live.publish(topic)
        await asyncio.wait_for(news.wait(), 2)


async def test_a_topic_asked_for_during_the_outage_is_heard_after_it(world: World, other: Sources) -> None:
    before, during = uuid4().hex, uuid4().hex
    async with world.sources.live.listen(before):
        await subscribed(world, before, 1)
        await world.sources.redis.client_kill_filter(_type="pubsub")
        async with world.sources.live.listen(during) as news:
            await subscribed(world, during, 1)
            news.clear()
            await other.live.publish(during)
            await asyncio.wait_for(news.wait(), 2)


async def test_many_topics_come_and_go_at_once(world: World, other: Sources) -> None:
    topics = [notifications_topic(ObjectId()) for _ in range(50)]
    async with contextlib.AsyncExitStack() as stack:
        some = [await stack.enter_async_context(world.sources.live.listen(topic)) for topic in topics[:25]]
        await asyncio.gather(*(applied(news) for news in some))
        async with contextlib.AsyncExitStack() as passing:
            more = [await passing.enter_async_context(world.sources.live.listen(topic)) for topic in topics[25:]]
            await asyncio.gather(*(applied(news) for news in more))
            await other.live.publish(*topics)
            await asyncio.gather(*(applied(news) for news in some + more))
        await other.live.publish(*topics)
        await asyncio.gather(*(applied(news) for news in some))


async def test_an_event_that_nobody_told_of_is_found_by_one_check_of_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a worker dies between its commit and its message; and nobody is woken for nothing."""
    monkeypatch.setattr(pubsub, "CONNECTED_POLL_SECONDS", 0.3)
    operations = OperationCounter()
    async with (
        open_sources(world.sources.settings, listeners=[operations]) as sources,
        contextlib.AsyncExitStack() as stack,
    ):
        owners = [ObjectId() for _ in range(50)]
        some = [await stack.enter_async_context(sources.live.listen(notifications_topic(one))) for one in owners]
        for news in some:
            news.seen = 0
        await world.sources.database["inboxes"].insert_one({"_id": owners[7], "last_seq": 1})
        operations.counts.clear()
        await asyncio.wait_for(some[7].wait(), 5)
        assert operations.counts["find inboxes"] <= 3
        assert [news for news in some if news.is_set()] == [some[7]]


async def test_without_redis_everything_is_checked_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "POLL_SECONDS", 0.3)
    deaf = world.sources.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with open_sources(deaf) as sources, sources.live.listen(notifications_topic(owner := ObjectId())) as news:
        news.seen = 0
        await asyncio.sleep(3 * pubsub.BATCH_SECONDS)
        assert not news.is_set()
        await world.sources.database["inboxes"].insert_one({"_id": owner, "last_seq": 1})
        await asyncio.wait_for(news.wait(), 5)


async def test_a_check_that_fails_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "POLL_SECONDS", 0.2)
    answers: list[object] = [ConnectionError("away"), {}]

    async def check(_ids: object) -> dict[ObjectId, object]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {}

    async with open_sources(world.sources.settings) as sources:
        sources.live.set_check("fussy", check)
        async with sources.live.listen(f"fussy:{ObjectId()}") as news:
            news.seen = 1
            await asyncio.wait_for(news.wait(), 5)


async def test_publishing_without_redis_takes_little_time_and_raises_nothing(shared_settings: Settings) -> None:
    away = shared_settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with open_sources(away) as sources, asyncio.timeout(PUBLISH_SECONDS + 1):
        await sources.live.publish("anything")
