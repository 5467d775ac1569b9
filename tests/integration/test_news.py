"""News wakes every listener of its topic, even after an outage of Redis."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from uuid import uuid4

import pytest
from bson import ObjectId
from redis.asyncio.client import PubSub
from structlog.testing import capture_logs

from config import Settings
from datasources.notifications.notification_log import notifications_topic
from datasources.redis import news_receiver, pubsub
from datasources.redis.pubsub import PUBLISH_SECONDS, Listener
from datasources.sources import open_sources
from tests.support.factories import World
from tests.support.operation_counter import OperationCounter
from tests.support.own_servers import own_servers
from tests.support.waiting import NEWS_SECONDS, eventually


async def wait_and_clear(listener: Listener) -> None:
    """Waits until a listener is set, by its subscription for example, and clears it."""
    await asyncio.wait_for(listener.wait(), NEWS_SECONDS)
    listener.clear()


async def wait_for_subscriptions(world: World, topic: str, processes: int) -> None:
    """Waits until so many processes have subscribed to a topic."""
    channel = f"{world.sources.settings.key_prefix}news:{topic}"

    async def are_there() -> bool:
        ((_, count),) = await world.redis.pubsub_numsub(channel)
        return int(count) == processes

    await eventually(are_there, seconds=5)


async def test_news_from_another_process_wakes_every_listener_of_the_topic(world: World, other: World) -> None:
    topic = uuid4().hex
    async with world.sources.news.listen(topic) as first, world.sources.news.listen(topic) as second:
        await wait_for_subscriptions(world, topic, 1)
        first.clear()
        second.clear()
        await other.sources.news.publish(topic)
        await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), NEWS_SECONDS)


async def test_news_of_one_topic_wakes_nobody_else(world: World, other: World) -> None:
    mine, others = uuid4().hex, uuid4().hex
    async with world.sources.news.listen(mine) as listener, world.sources.news.listen(others) as other_listener:
        await wait_for_subscriptions(world, mine, 1)
        await wait_for_subscriptions(world, others, 1)
        listener.clear()
        other_listener.clear()
        await other.sources.news.publish(mine)
        await asyncio.wait_for(listener.wait(), NEWS_SECONDS)
        assert not other_listener.is_set()


async def test_the_last_listener_ends_the_subscription(world: World) -> None:
    topic = uuid4().hex
    async with world.sources.news.listen(topic):
        async with world.sources.news.listen(topic):
            await wait_for_subscriptions(world, topic, 1)
        await wait_for_subscriptions(world, topic, 1)
    await wait_for_subscriptions(world, topic, 0)


async def test_listeners_are_woken_and_get_news_again_after_a_lost_connection(world: World, other: World) -> None:
    topic = uuid4().hex
    async with world.sources.news.listen(topic) as listener:
        await wait_for_subscriptions(world, topic, 1)
        listener.clear()
        await world.redis.client_kill_filter(_type="pubsub")
        await asyncio.wait_for(listener.wait(), NEWS_SECONDS)  # something may have been missed
        await wait_for_subscriptions(world, topic, 1)
        listener.clear()
        await other.sources.news.publish(topic)
        await asyncio.wait_for(listener.wait(), NEWS_SECONDS)


async def test_listeners_are_woken_and_get_news_again_after_a_fault_of_the_reader(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, get_message, faults = uuid4().hex, PubSub.get_message, [RuntimeError(), asyncio.CancelledError()]

    async def fail_at_first(pubsub: PubSub, *, timeout: float) -> object:
        if faults:
            raise faults.pop()
        return await get_message(pubsub, timeout=timeout)

    monkeypatch.setattr(PubSub, "get_message", fail_at_first)
    async with world.sources.news.listen(topic) as listener:
        await wait_and_clear(listener)  # by the confirmation of the subscription, which the first readers did not read
        assert not faults
        await other.sources.news.publish(topic)
        await asyncio.wait_for(listener.wait(), NEWS_SECONDS)


async def test_a_quiet_connection_is_kept_and_one_of_a_redis_that_hangs_is_given_up(
    shared_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_receiver, "PING_SECONDS", 0.2)
    monkeypatch.setattr(news_receiver, "SILENT_SECONDS", 1.0)
    with own_servers(tmp_path / "servers", shared_settings) as servers, capture_logs() as logs:
        await asyncio.gather(servers.mongodb.wait_until_ready(), servers.valkey.wait_until_ready())
        topic = notifications_topic(ObjectId())
        async with open_sources(servers.settings) as sources, sources.news.listen(topic) as listener:
            await wait_and_clear(listener)
            await asyncio.sleep(1.5)
            assert not logs
            os.kill(servers.valkey.process.pid, signal.SIGSTOP)
            try:
                # Its notifications are checked, for a message may be lost.
                await asyncio.wait_for(listener.wait(), NEWS_SECONDS)
            finally:
                os.kill(servers.valkey.process.pid, signal.SIGCONT)
            assert {entry["event"] for entry in logs} == {"news.disconnected"}


async def test_a_topic_added_during_the_outage_gets_news_after_it(world: World, other: World) -> None:
    before, during = uuid4().hex, uuid4().hex
    async with world.sources.news.listen(before):
        await wait_for_subscriptions(world, before, 1)
        await world.redis.client_kill_filter(_type="pubsub")
        async with world.sources.news.listen(during) as listener:
            await wait_for_subscriptions(world, during, 1)
            listener.clear()
            await other.sources.news.publish(during)
            await asyncio.wait_for(listener.wait(), NEWS_SECONDS)


async def test_many_topics_are_added_and_removed_at_once(world: World, other: World) -> None:
    topics = [notifications_topic(ObjectId()) for _ in range(50)]
    async with contextlib.AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(world.sources.news.listen(topic)) for topic in topics[:25]]
        await asyncio.gather(*(wait_and_clear(listener) for listener in listeners))
        async with contextlib.AsyncExitStack() as passing:
            more = [await passing.enter_async_context(world.sources.news.listen(topic)) for topic in topics[25:]]
            await asyncio.gather(*(wait_and_clear(listener) for listener in more))
            await other.sources.news.publish(*topics)
            await asyncio.gather(*(wait_and_clear(listener) for listener in listeners + more))
        await other.sources.news.publish(*topics)
        await asyncio.gather(*(wait_and_clear(listener) for listener in listeners))


async def test_an_event_without_a_message_is_found_by_one_check_of_all_topics(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a worker dies between its commit and its message. Nobody else is woken."""
    monkeypatch.setattr(pubsub, "CONNECTED_POLL_SECONDS", 0.3)
    operations = OperationCounter()
    async with (
        open_sources(world.sources.settings, listeners=[operations]) as sources,
        contextlib.AsyncExitStack() as stack,
    ):
        owners = [ObjectId() for _ in range(50)]
        listeners = [
            await stack.enter_async_context(sources.news.listen(notifications_topic(owner))) for owner in owners
        ]
        for listener in listeners:
            listener.seen = 0
        await world.sources.database["inboxes"].insert_one({"_id": owners[7], "last_seq": 1})
        operations.counts.clear()
        await asyncio.wait_for(listeners[7].wait(), NEWS_SECONDS)
        assert operations.counts["find inboxes"] <= 3
        assert [listener for listener in listeners if listener.is_set()] == [listeners[7]]


async def test_without_redis_everything_is_checked_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "POLL_SECONDS", 0.3)
    without_redis = world.sources.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with (
        open_sources(without_redis) as sources,
        sources.news.listen(notifications_topic(owner := ObjectId())) as listener,
    ):
        listener.seen = 0
        await asyncio.sleep(3 * pubsub.BATCH_SECONDS)
        assert not listener.is_set()
        await world.sources.database["inboxes"].insert_one({"_id": owner, "last_seq": 1})
        await asyncio.wait_for(listener.wait(), NEWS_SECONDS)


async def test_a_check_that_fails_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "POLL_SECONDS", 0.2)
    answers: list[object] = [ConnectionError("away"), {}]

    async def check(_ids: object) -> dict[ObjectId, object]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {}

    async with open_sources(world.sources.settings) as sources:
        sources.news.set_check("fussy", check)
        async with sources.news.listen(f"fussy:{ObjectId()}") as listener:
            listener.seen = 1
            await asyncio.wait_for(listener.wait(), NEWS_SECONDS)


async def test_publishing_without_redis_takes_little_time_and_raises_nothing(shared_settings: Settings) -> None:
    away = shared_settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with open_sources(away) as sources, asyncio.timeout(PUBLISH_SECONDS + 1):
        await sources.news.publish("anything")
