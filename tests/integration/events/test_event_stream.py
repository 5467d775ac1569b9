"""The stream of Redis as a sink of public events: equal repetitions, numbers, and the removal of old ones."""

from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import RedisError

from datasources.events.event_sink import EventSink
from datasources.events.redis_stream import stream_key
from domain.events import Event
from domain.jobs import Task
from tests.support.events import stream_entries, told
from tests.support.factories import World, changed_sources, now
from workers.handlers.publish_events import publishing
from workers.maintenance.gc.steps import collect
from workers.runtime.drain import drain, pending_jobs
from workers.runtime.handler import Tools


class _Dying:
    """Takes events and then fails once, as a worker that dies before it has marked them done."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._fails = True

    async def send(self, events: Sequence[Event]) -> None:
        await self._sink.send(events)
        if self._fails:
            self._fails = False
            raise RedisError("the answer is lost")


async def test_a_repetition_is_equal_to_the_first(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await own.sources.post_likes.like(post.id, bob.id, now())
    await own.follow(bob, ana)
    await own.sources.posts.delete((await own.post(ana)).id, ana.id, now())
    tools, repeated = Tools(sources=own.sources), 0
    for (task, fact), run in publishing(Task.PUBLISH_REDIS).items():
        keys = [job.key for job in await pending_jobs(tools) if job.kind == (task, fact)]
        before = len(await stream_entries(own))
        dying = Tools(sources=changed_sources(own.sources, event_sinks={task: _Dying(own.sources.event_sinks[task])}))
        for key in keys:
            with pytest.raises(RedisError):
                await run(dying, key)
            await run(dying, key)
        sent = [event for _, event in await stream_entries(own)][before:]
        assert sent[::2] == sent[1::2]
        repeated += len(sent) // 2
    assert repeated == 3


async def test_nothing_is_pending_for_events_that_nobody_wants(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    for collection in ("posts", "post_likes"):
        document = await world.sources.database[collection].find_one({"outbox": {"$exists": True}})
        assert document is not None
        assert Task.PUBLISH_REDIS.value not in document["outbox"]
        assert "changed_at" not in document


async def test_a_sink_that_is_turned_off_leaves_nothing_pending(own: World) -> None:
    await own.post(await own.user())
    without = changed_sources(own.sources, event_sinks={})
    assert not await drain(Tools(sources=without))
    assert await told(own) == []


async def test_numbers_grow_by_one(own: World) -> None:
    ana, *others = await own.users(4)
    post = await own.post(ana)
    for other in others:
        await own.sources.post_likes.like(post.id, other.id, now())
    await own.drain()
    numbers = [number for number, _ in await stream_entries(own)]
    assert numbers == list(range(1, 5))


async def test_old_events_are_removed_when_new_ones_come_and_by_gc(own: World) -> None:
    settings, ana = own.sources.settings, await own.user()
    key = stream_key(settings.key_prefix)
    redis: Any = own.redis_of(key)
    oldest = int(now().timestamp() * 1000) - round(settings.events_stream_days * 86_400_000)
    kept = oldest + 600_000
    await redis.xadd(key, {"number": 1, "event": "old"}, id=oldest - 600_000)
    await redis.xadd(key, {"number": 2, "event": "new enough"}, id=kept)
    assert (await collect(own.sources)).removed["old events"] == 1
    assert [row for row, _ in await redis.xrange(key)] == [f"{kept}-0".encode()]
    await redis.delete(key)
    await redis.xadd(key, {"number": 1, "event": "old"}, id=oldest - 600_000)
    await redis.xadd(key, {"number": 2, "event": "new enough"}, id=kept)
    await own.post(ana)
    await own.drain()
    assert [fields[b"event"][:3] for _, fields in await redis.xrange(key)] == [b"new", b'{"s']
