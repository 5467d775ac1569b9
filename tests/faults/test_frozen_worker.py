"""A worker frozen for longer than its leases counts no failure. A job that kills workers becomes a dead letter."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from bson import ObjectId

from datasources.jobs.dead_letters import LOST
from datasources.jobs.opening import open_consumer
from deploy.local.environment import child_environment
from domain.jobs import Job
from tests.faults.toy_worker import LEASE, LIMIT, MAX_LIVES, QUEUE, WORK, key
from tests.support.factories import World
from tests.support.handlers import ATTEMPTS, handler_of
from tests.support.stack import ROOT, START_SECONDS
from tests.support.waiting import eventually
from workers.runtime.worker import Worker


@contextlib.asynccontextmanager
async def toy(world: World, kind: str) -> AsyncIterator[Process]:
    """Runs the toy worker in a process of its own during the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.toy_worker", kind, env=child_environment(world.sources.settings), cwd=ROOT
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def calls(world: World) -> int:
    return int(await world.redis.get(key(world.sources.settings, "calls")) or 0)


async def failures(world: World) -> list[dict[str, Any]]:
    return await world.sources.database["failures"].find().to_list()


async def is_idle(world: World) -> bool:
    """Whether no message waits or is in flight."""
    return not await world.sources.job_queue.depth(QUEUE)


async def enqueue(world: World) -> Job:
    job = Job(*WORK, str(ObjectId()))
    await world.sources.job_queue.enqueue([job])
    return job


async def freeze(process: Process) -> None:
    """Freezes a process for longer than its leases and than a call may take."""
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(LEASE + LIMIT + 0.3)
    process.send_signal(signal.SIGCONT)


async def test_a_call_during_which_its_worker_was_frozen_is_no_failure(world: World, *, full_size: bool) -> None:
    async with toy(world, "slow") as process:
        for n in range(ATTEMPTS if full_size else 2):
            await enqueue(world)
            await eventually(partial(_has_called, world, n + 1), seconds=START_SECONDS)
            await freeze(process)
            await eventually(partial(is_idle, world), seconds=START_SECONDS)
            assert await failures(world) == []


async def test_a_failure_counted_for_a_frozen_worker_is_undone_when_it_thaws(world: World) -> None:
    may_end = asyncio.Event()

    async def wait(*_: object) -> None:
        await may_end.wait()

    async with toy(world, "slow") as process, open_consumer(world.sources.settings, QUEUE, "other", LEASE) as queue:
        lost = await enqueue(world)
        await eventually(partial(_has_called, world, 1), seconds=START_SECONDS)
        process.send_signal(signal.SIGSTOP)
        other, stopping = Worker(world.tools, queue, handlers={WORK: handler_of(wait)}), asyncio.Event()
        running = asyncio.create_task(other.run(stopping))
        (letter,) = await eventually(partial(failures, world))
        assert (letter["_id"]["key"], letter["attempts"], letter["reason"]) == (lost.key, 1, LOST)
        process.send_signal(signal.SIGCONT)

        async def is_taken_back() -> bool:
            return await failures(world) == []

        await eventually(is_taken_back)
        assert other.backlog.in_hand, "before the second worker has ended its call"
        may_end.set()
        stopping.set()
        await running


async def test_a_job_that_kills_its_worker_becomes_a_dead_letter(world: World) -> None:
    deadly = await enqueue(world)

    async def is_dead() -> bool:
        return [letter["dead"] for letter in await failures(world)] == [True]

    async with toy(world, "deadly"):
        await eventually(is_dead, seconds=2 * START_SECONDS)
        await eventually(partial(is_idle, world))
    (letter,) = await failures(world)
    assert (letter["_id"]["key"], letter["attempts"], letter["reason"]) == (deadly.key, ATTEMPTS, LOST)
    # On a busy machine a process may die before Redis has counted its call.
    assert ATTEMPTS <= await calls(world) < MAX_LIVES


async def _has_called(world: World, times: int) -> bool:
    return await calls(world) == times
