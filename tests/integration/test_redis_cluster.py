"""Caches, the job queue and news over a real Valkey cluster: masters that hang, are killed, and hand over slots."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from redis.crc import key_slot

from config import Settings
from datasources.jobs.opening import open_consumer
from datasources.jobs.redis_queue import stream_key
from datasources.redis.cluster import ClusterServers
from datasources.redis.servers import following
from datasources.sources import open_sources
from domain.jobs import JOBS, Job
from tests.support.factories import World
from tests.support.own_clusters import ValkeyCluster, own_members
from tests.support.redis_masters import refused_by_slots
from tests.support.waiting import eventually
from tests.support.word_cache import WordCache, Words

KEYS = [f"k{number}" for number in range(60)]


@pytest.fixture(scope="module")
def started_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    with own_members(ValkeyCluster, tmp_path_factory.mktemp("cluster") / "servers") as cluster:
        yield cluster


@pytest.fixture
async def cluster(started_cluster: ValkeyCluster) -> ValkeyCluster:
    await started_cluster.wait_until_ready()
    return started_cluster


@pytest.fixture
async def process(cluster: ValkeyCluster) -> AsyncIterator[WordCache]:
    async with aclosing(WordCache(cluster.url, uuid4().hex)) as process, following(process.redis_servers):
        yield process


@pytest.fixture
async def world(settings: Settings, cluster: ValkeyCluster) -> AsyncIterator[World]:
    """MongoDB and storage are the run's, Redis is the cluster."""
    async with open_sources(settings.model_copy(update={"redis_url": cluster.url})) as sources:
        yield World(sources)


def servers_of(process: WordCache) -> ClusterServers:
    assert isinstance(process.redis_servers, ClusterServers)
    return process.redis_servers


@pytest.mark.usefixtures("patient_caches")
async def test_values_of_all_masters_are_read_stored_and_invalidated_together(
    process: WordCache, cluster: ValkeyCluster, settings: Settings
) -> None:
    truth = Words(**dict.fromkeys(KEYS, "old"))
    assert await process.read(truth, *KEYS) == ["old"] * len(KEYS)
    assert await process.read(truth, *KEYS) == ["old"] * len(KEYS)
    assert truth.asked == KEYS, "they are cached"
    sizes = [await redis.dbsize() for redis in servers_of(process).all]
    assert len(sizes) == 3
    assert all(sizes)
    truth.words.update(dict.fromkeys(KEYS, "new"))
    assert await process.cache.invalidate(KEYS)
    assert await process.read(truth, *KEYS) == ["new"] * len(KEYS)
    assert not refused_by_slots(settings.model_copy(update={"redis_url": cluster.url}))


async def test_a_master_that_hangs_delays_its_own_values_briefly_and_no_others(
    cluster: ValkeyCluster, process: WordCache
) -> None:
    truth = Words(**dict.fromkeys(KEYS, "old"))
    await eventually(lambda: is_cached(process, truth))
    names = {key: f"{process.servers.prefix}word:{key}" for key in KEYS}
    hanging = await cluster.master_of(names[KEYS[0]])
    owner = process.redis_servers.of(names[KEYS[0]])
    its_own = {key for key in KEYS if process.redis_servers.of(names[key]) is owner}
    cluster.signal(hanging, signal.SIGSTOP)
    try:
        truth.asked.clear()
        started = time.monotonic()
        assert await process.read(truth, *KEYS) == ["old"] * len(KEYS)
        assert time.monotonic() - started < 2
        assert set(truth.asked) == its_own
        truth.words.update(dict.fromkeys(KEYS, "new"))
        assert not await process.cache.invalidate(KEYS)
        assert await process.read(truth, *KEYS) == ["new"] * len(KEYS), "its own writes"
    finally:
        cluster.signal(hanging, signal.SIGCONT)
    await eventually(lambda: is_cached(process, truth), seconds=10)


async def is_cached(process: WordCache, truth: Words) -> bool:
    """Whether all words are read from the cache. Asserts that they are right in any case."""
    before = len(truth.asked)
    assert await process.read(truth, *KEYS) == [truth.words[key] for key in KEYS]
    return len(truth.asked) == before


async def test_jobs_of_every_worker_reach_it_whatever_master_holds_its_queue(world: World) -> None:
    jobs = {JOBS[kind].worker: Job(*kind, str(ObjectId())) for kind in JOBS}
    await world.sources.job_queue.enqueue(jobs.values())
    for worker, job in jobs.items():
        async with open_consumer(world.sources.settings, worker, "tested") as queue:

            async def read(queue: Any = queue) -> list[Any]:
                return list(await queue.read(10, 0.1))

            (message,) = await eventually(read)
            assert message.job == job
            await queue.mark_started([message.id])
            await queue.renew_leases([message.id])
            await queue.acknowledge([message.id])
            assert await world.sources.job_queue.depth(worker) == 0
            await queue.leave()
    keys = [stream_key(world.sources.settings.key_prefix, worker) for worker in jobs]
    assert len({world.sources.redis.queue.of(key) for key in keys}) > 1


async def test_news_reach_listeners_through_every_master(world: World) -> None:
    topics = [uuid4().hex for _ in range(30)]
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(world.sources.news.listen(topic)) for topic in topics]
        for listener in listeners:  # its subscription is confirmed
            await asyncio.wait_for(listener.wait(), 10)
            listener.clear()

        async def are_heard() -> bool:  # on a busy machine the news of one master may come too late, and are dropped
            await world.sources.news.publish(*topics)
            return all(listener.is_set() for listener in listeners)

        await eventually(are_heard, seconds=20)


async def test_a_slot_that_moves_takes_its_values_and_listeners_with_it(world: World, process: WordCache) -> None:
    servers = world.sources.redis.news
    assert isinstance(servers, ClusterServers)
    topic, other = uuid4().hex, uuid4().hex  # of two slots, but once in 16,384 times
    channel = f"{world.sources.settings.key_prefix}news:{topic}"
    async with world.sources.news.listen(topic) as listener, world.sources.news.listen(other) as elsewhere:
        for each in (listener, elsewhere):
            await asyncio.wait_for(each.wait(), 10)
            each.clear()
        key = f"{{{channel}}}"  # of the same slot
        name = f"{process.servers.prefix}word:{key}"
        assert key_slot(name.encode()) == key_slot(channel.encode())
        truth = Words(**{key: "old"})
        await process.read(truth, key)
        await move_slot(servers, channel)
        await asyncio.wait_for(listener.wait(), 10)  # something may have been missed
        listener.clear()
        await asyncio.wait_for(listener.wait(), 20)  # also what others sent to the old server until they noticed
        assert not elsewhere.is_set(), "what stays where it is is not looked at again"
        listener.clear()

        async def is_heard() -> bool:
            await world.sources.news.publish(topic)
            return listener.is_set()

        await eventually(is_heard, seconds=10)
        truth.words[key] = "new"
        await process.cache.invalidate([key])

        async def is_cached_anew() -> bool:
            before = len(truth.asked)
            assert await process.read(truth, key) == ["new"]
            return len(truth.asked) == before

        await eventually(is_cached_anew, seconds=10)


async def move_slot(servers: ClusterServers, key: str) -> None:
    """Moves the slot of a key, with its keys, to another master, as an operator does."""
    slot, source = key_slot(key.encode()), servers.of(key)
    target = next(redis for redis in servers.all if redis is not source)
    ids = {redis: (await redis.cluster("MYID")).decode() for redis in servers.all}
    await target.cluster("SETSLOT", slot, "IMPORTING", ids[source])
    await source.cluster("SETSLOT", slot, "MIGRATING", ids[target])
    keys = await source.cluster("GETKEYSINSLOT", slot, 100)
    if keys:
        where = target.connection_pool.connection_kwargs
        await source.migrate(where["host"], where["port"], keys, 0, 5000)
    for redis in (target, source, *(each for each in servers.all if each not in (source, target))):
        await redis.cluster("SETSLOT", slot, "NODE", ids[target])


async def test_without_any_node_nothing_raises_and_everything_is_read_from_its_source() -> None:
    url = "redis+cluster://127.0.0.1:1,127.0.0.1:2"
    async with aclosing(WordCache(url, "test:")) as process, following(process.redis_servers):
        truth = Words(a="1")
        assert await process.read(truth, "a") == ["1"]
        assert not await process.cache.invalidate(["a"])
        assert await process.read(truth, "a") == ["1"]
