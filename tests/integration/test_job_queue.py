"""The job queue: which consumer holds a message, for how long, and what happens when a worker or Redis is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from datasources.concurrency.tasks import cancel_tasks
from datasources.jobs import redis_queue
from datasources.jobs.opening import open_consumer
from datasources.jobs.queue import JobQueue
from datasources.jobs.redis_queue import GROUP, STARTED, RedisConsumer, RedisTransport
from datasources.sources import open_sources
from domain.jobs import Fact, Job, Task
from tests.support.emptying import wipe_redis
from tests.support.factories import World, now
from tests.support.handlers import handler_of
from tests.support.waiting import eventually
from tests.support.workers import is_empty, running_worker, stream_of
from workers.registry import HANDLERS
from workers.runtime.handler import RetryLater, Tools
from workers.runtime.outbox_relay import relay_due
from workers.runtime.worker import MAX_READ, MAX_WAITING, Worker

LIKES = (Task.COUNT, Fact.POST_LIKE)
LEASE = 0.3


class WaitingHandler:
    """A handler that waits until it may finish, and records the keys it was called with."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.may_finish = asyncio.Event()

    async def run(self, _tools: Tools, key: str) -> None:
        self.calls.append(key)
        await self.may_finish.wait()

    async def is_started(self) -> bool:
        return bool(self.calls)


def working(
    world: World, consumer: str, work: WaitingHandler
) -> contextlib.AbstractAsyncContextManager[asyncio.Task[None]]:
    """Runs a worker with short leases."""
    handlers = {**HANDLERS, LIKES: handler_of(work.run)}
    return running_worker(world, "counters", handlers, consumer=consumer, lease=LEASE)


@contextlib.asynccontextmanager
async def consumer_of(world: World, name: str, lease: float = LEASE) -> AsyncIterator[RedisConsumer]:
    async with open_consumer(world.sources.settings, "counters", name, lease) as queue:
        assert isinstance(queue, RedisConsumer)
        yield queue


async def enqueue(world: World, *keys: str) -> list[str]:
    keys = keys or (str(ObjectId()),)
    await world.sources.job_queue.enqueue(Job(*LIKES, key) for key in keys)
    return list(keys)


async def consumers(world: World) -> dict[str, int]:
    """How many messages are in flight at each consumer."""
    rows: Any = await world.redis.xinfo_consumers(stream_of(world), GROUP)
    return {row["name"].decode(): row["pending"] for row in rows}


async def test_messages_of_a_dead_worker_are_claimed_without_the_relay(own: World) -> None:
    dead, alive = WaitingHandler(), WaitingHandler()
    async with working(own, "dead", dead) as running:
        keys = await enqueue(own)
        await eventually(dead.is_started)
        await cancel_tasks([running])
    assert (await consumers(own))["dead"] == 1
    alive.may_finish.set()
    async with working(own, "alive", alive):
        await eventually(partial(is_empty, own))

        async def is_alone() -> bool:
            return list(await consumers(own)) == ["alive"]

        await eventually(is_alone)
    assert alive.calls == keys


async def test_a_claimed_job_that_must_be_retried_later_is_no_failure(own: World) -> None:
    dead = WaitingHandler()
    async with working(own, "dead", dead) as running:
        await enqueue(own)
        await eventually(dead.is_started)
        await cancel_tasks([running])

    class Waits(WaitingHandler):
        async def run(self, _tools: Tools, key: str) -> None:
            self.calls.append(key)
            assert await own.sources.database["failures"].count_documents({"attempts": 1}) == 1
            raise RetryLater

    alive = Waits()
    async with working(own, "alive", alive):
        await eventually(partial(is_empty, own))
    assert len(alive.calls) == 1
    assert await own.sources.database["failures"].find().to_list() == []


async def test_a_slow_handler_keeps_its_message_while_its_worker_lives(own: World) -> None:
    slow, idle = WaitingHandler(), WaitingHandler()
    async with working(own, "slow", slow):
        await enqueue(own)
        await eventually(slow.is_started)
        async with working(own, "idle", idle):
            await asyncio.wait([asyncio.create_task(idle.may_finish.wait())], timeout=LEASE * 5)
            (pending,) = await own.redis.xpending_range(stream_of(own), GROUP, "-", "+", 10)
            assert (pending["consumer"], pending["times_delivered"]) == (b"slow", STARTED), (
                "renewed, and claimed by nobody"
            )
            slow.may_finish.set()
            await eventually(partial(is_empty, own))
    assert (len(slow.calls), idle.calls) == (1, [])


async def test_unfinished_messages_of_a_stopping_worker_are_claimed_at_once(own: World) -> None:
    async with consumer_of(own, "stopping") as queue:
        await queue.read(1, 0.01)
        keys = await enqueue(own, *sorted(str(ObjectId()) for _ in range(3)))
        messages = await queue.read(10, 1)
        await queue.acknowledge([messages[0].id])
        await queue.leave([message.id for message in messages[1:]])
        assert await consumers(own) == {"stopping": 2}
    async with consumer_of(own, "next", lease=3600) as queue:
        claimed = await queue.claim_expired(10)
        assert [message.job and message.job.key for message in claimed] == keys[1:]
        await queue.remove_gone_consumers(0)
        assert await consumers(own) == {"next": 2}
        await queue.acknowledge([message.id for message in claimed])
        await queue.leave()
        assert await consumers(own) == {}
    assert await is_empty(own)


async def test_a_living_consumer_is_not_removed(own: World) -> None:
    async with consumer_of(own, "living") as queue:
        await queue.read(1, 0.01)
        await queue.read(1, 0.01)
        await queue.remove_gone_consumers(60)
        assert await consumers(own) == {"living": 0}


async def test_gone_consumers_are_removed_after_redis_was_wiped(own: World) -> None:
    async with consumer_of(own, "orphan", lease=0) as queue:
        await queue.read(1, 0.01)
        await wipe_redis(own)
        await queue.remove_gone_consumers(0)
        assert await queue.read(1, 0.01) == [], "the group is created again"
        await enqueue(own)
        assert len(await queue.read(1, 1)) == 1


async def test_messages_that_a_rewound_redis_delivers_again_change_nothing(own: World) -> None:
    ana, *fans = await own.users(4)
    post = await own.post(ana)
    await own.drain()
    counting, stopping = HANDLERS[LIKES], asyncio.Event()

    async def count() -> int:
        return (await own.stored_post(post.id)).like_count

    async def is_counted() -> bool:
        return await count() == len(fans) and await is_empty(own)

    async with consumer_of(own, "rewound") as queue:
        await wipe_redis(own)
        await queue.read(1, 0.01)
        await own.sources.post_likes.like(post.id, fans[0].id, now())
        assert await queue.read(10, 1), "in flight"
        await own.sources.post_likes.like(post.id, fans[1].id, now())
        old: Any = await own.redis.dump(stream_of(own))
        worker = Worker(own.tools, queue, handlers={**HANDLERS, LIKES: counting}, read_wait=0.05)
        running = asyncio.create_task(worker.run(stopping))
        await own.sources.post_likes.like(post.id, fans[2].id, now())
        await eventually(is_counted)
        await own.redis.restore(stream_of(own), 0, old, replace=True)
        assert not await is_empty(own)
        await eventually(is_counted)
        assert await own.sources.database["post_likes"].count_documents({"outbox": Task.COUNT.value}) == 0
        stopping.set()
        await running
    assert await count() == len(fans)


async def test_a_job_whose_message_a_rewind_lost_is_enqueued_again(own: World) -> None:
    ana, fan = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await wipe_redis(own)
    async with consumer_of(own, "consumer") as queue:
        await queue.read(1, 0.01)
        old: Any = await own.redis.dump(stream_of(own))
        await own.sources.post_likes.like(post.id, fan.id, now())
        await own.redis.restore(stream_of(own), 0, old, replace=True)
        assert await queue.read(10, 0.05) == []
        (like,) = await own.sources.database["post_likes"].find({"outbox": "count"}).to_list()
        assert await relay_due(own.sources, like["due_at"]) == 1
        assert [message.job for message in await queue.read(10, 1)] == [Job(*LIKES, str(post.id))]


async def test_a_worker_reads_no_more_than_it_can_hold(own: World) -> None:
    work, total = WaitingHandler(), MAX_WAITING + MAX_READ * 3
    async with working(own, "busy", work):
        for _ in range(total // 100):
            await enqueue(own, *(str(ObjectId()) for _ in range(100)))
            await eventually(work.is_started)

        async def is_full() -> bool:
            return (await consumers(own))["busy"] >= MAX_WAITING

        await eventually(is_full)
        assert (await consumers(own))["busy"] <= MAX_WAITING + MAX_READ < total
        work.may_finish.set()
        await eventually(partial(is_empty, own), seconds=30)
    assert len(work.calls) == len(set(work.calls)) == total


async def test_nothing_is_enqueued_to_a_stream_that_is_too_long(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_queue, "MAX_QUEUE_LENGTH", 20)
    job_queue = JobQueue(RedisTransport(own.sources.redis.queue, own.sources.settings.key_prefix))
    keys = [str(ObjectId()) for _ in range(100)]
    for key in keys:
        await job_queue.enqueue([Job(*LIKES, key), Job(Task.FAN_OUT, Fact.POST, key)])
    assert await own.redis.xlen(stream_of(own)) == 20
    async with consumer_of(own, "late") as queue:
        await queue.read(1, 0.01)
        read = await queue.read(100, 1)
        assert [message.job and message.job.key for message in read] == keys[:20], "waiting messages are never dropped"
        await queue.acknowledge([message.id for message in read])

    async def enqueues_again() -> bool:
        await job_queue.enqueue([Job(*LIKES, keys[-1])])
        return not await is_empty(own)

    await eventually(enqueues_again)


@pytest.mark.usefixtures("patient_queue")
async def test_messages_that_redis_refuses_are_reported_with_their_worker_alone(own: World) -> None:
    last = 2**64 - 1
    await own.redis.xadd(stream_of(own), {"the": "last"}, id=f"{last}-{last}")  # no stream takes one after it
    transport = RedisTransport(own.sources.redis.queue, own.sources.settings.key_prefix)
    jobs = [Job(*LIKES, str(ObjectId())), Job(Task.FAN_OUT, Fact.POST, str(ObjectId()))]
    sent = await transport.send({job: {"key": job.key} for job in jobs})
    assert list(sent.unanswered) == ["counters"]
    assert not sent.full


async def test_concurrent_jobs_of_one_key_are_one_or_two_messages(own: World) -> None:
    key = str(ObjectId())
    await asyncio.gather(*(own.sources.job_queue.enqueue([Job(*LIKES, key)]) for _ in range(100)))
    assert 1 <= await own.redis.xlen(stream_of(own)) <= 2


async def test_an_unreachable_redis_delays_one_enqueue_and_not_the_next_ones(own: World) -> None:
    async with open_sources(own.sources.settings.model_copy(update={"redis_url": "redis://127.0.0.1:9/0"})) as away:
        with capture_logs() as logs:
            for _ in range(50):
                await away.job_queue.enqueue([Job(*LIKES, str(ObjectId()))])
    assert [entry["event"] for entry in logs].count("job_queue.unanswered") == 1
