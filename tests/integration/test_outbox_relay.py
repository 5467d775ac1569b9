"""The outbox relay: it enqueues jobs that are due, less and less often, and recovers from outages by itself."""

import asyncio
import time
from datetime import timedelta

import pytest
from bson import ObjectId
from redis.exceptions import RedisError

from datasources.jobs.outbox import FIRST_PAUSE, MAX_PAUSE
from datasources.sources import open_sources
from domain.jobs import Fact, Job, Task
from tests.support.factories import World, now
from tests.support.handlers import ATTEMPTS
from tests.support.waiting import eventually
from tests.support.workers import stream_of
from workers.runtime.outbox_relay import keep_relaying, relay_due


async def pending_like(world: World) -> ObjectId:
    """The post of a pending like. Nothing else is pending."""
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await world.sources.post_likes.like(post.id, bob.id, now())
    return post.id


async def jobs_waiting(world: World) -> int:
    return int(await world.redis.xlen(stream_of(world)))


async def test_a_fact_just_written_is_left_to_its_own_job(own: World) -> None:
    await pending_like(own)
    assert await relay_due(own.sources, now()) == 0
    assert await relay_due(own.sources, now() + FIRST_PAUSE) == 1


async def test_the_pauses_double_up_to_a_limit(own: World) -> None:
    await pending_like(own)
    moment, pauses = now() + FIRST_PAUSE, []
    for _ in range(8):
        assert await relay_due(own.sources, moment) == 1
        like = await own.sources.database["post_likes"].find_one({"outbox": "count"})
        assert like is not None
        pauses.append((like["due_at"] - moment) / FIRST_PAUSE)
        moment = like["due_at"]
    assert pauses == [1, 2, 4, 8, 16, 20, 20, 20]
    assert FIRST_PAUSE * 20 == MAX_PAUSE


async def test_concurrent_relays_do_no_harm(own: World) -> None:
    post_id = await pending_like(own)
    counts = await asyncio.gather(*(relay_due(own.sources, now() + FIRST_PAUSE) for _ in range(5)))
    assert max(counts) == 1
    await own.drain()
    assert (await own.stored_post(post_id)).like_count == 1


async def test_a_fact_with_nothing_pending_is_never_enqueued(own: World) -> None:
    await pending_like(own)
    await own.drain()
    assert await relay_due(own.sources, now() + timedelta(days=1)) == 0


async def test_a_dead_letter_is_left_alone_until_it_is_redriven(own: World) -> None:
    post_id = str(await pending_like(own))
    jobs = [Job(task, Fact.POST_LIKE, post_id) for task in (Task.COUNT, Task.NOTIFY)]
    for job, left in zip(jobs, (1, 0), strict=True):
        for _ in range(ATTEMPTS):
            await own.sources.dead_letters.count_failure(job, "no reason", now())
        assert await relay_due(own.sources, now() + timedelta(days=1)) == left, "its other tasks are still enqueued"
    before = await jobs_waiting(own)
    await own.sources.dead_letters.redrive(jobs[0], now())
    assert await relay_due(own.sources, now()) == 1
    assert await jobs_waiting(own) == before + 1


async def test_a_write_succeeds_at_once_without_redis_and_is_enqueued_later(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    without = own.sources.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with open_sources(without) as sources:
        began = time.monotonic()
        await sources.post_likes.like(post.id, bob.id, now())
        assert time.monotonic() - began < 2
        with pytest.raises(RedisError):  # and reschedules nothing
            await relay_due(sources, now() + FIRST_PAUSE)
    before = await jobs_waiting(own)
    assert await relay_due(own.sources, now() + FIRST_PAUSE) == 1
    assert await jobs_waiting(own) == before + 1


async def test_the_relay_runs_until_it_is_stopped(own: World) -> None:
    await pending_like(own)
    before, stopping = await jobs_waiting(own), asyncio.Event()
    await own.sources.database["post_likes"].update_many({}, {"$set": {"due_at": now() - FIRST_PAUSE}})

    async def has_enqueued() -> bool:
        return await jobs_waiting(own) > before

    relaying = asyncio.create_task(keep_relaying(own.sources, stopping, 60))
    await eventually(has_enqueued)
    stopping.set()
    async with asyncio.timeout(20):
        await relaying


async def test_an_outage_of_mongodb_is_waited_out(own: World) -> None:
    gone = own.sources.settings.model_copy(
        update={"mongo_url": "mongodb://127.0.0.1:1/?directConnection=true", "mongo_timeout": 0.2}
    )
    stopping = asyncio.Event()
    async with open_sources(gone) as sources:
        relaying = asyncio.create_task(keep_relaying(sources, stopping, 0.05))
        await asyncio.wait([relaying], timeout=1)
        assert not relaying.done(), "it tries again"
        stopping.set()
        async with asyncio.timeout(20):
            await relaying
