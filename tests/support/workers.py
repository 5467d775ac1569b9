"""A worker in the process of the test, and what its queue and the dead letters hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from datasources.concurrency.tasks import cancel_tasks
from datasources.jobs.opening import open_consumer
from datasources.jobs.queue import MESSAGE_LEASE
from datasources.jobs.redis_queue import stream_key
from domain.jobs import JobKind
from tests.support.factories import World
from workers.runtime.handler import Handler
from workers.runtime.worker import Worker


@contextlib.asynccontextmanager
async def running_worker(
    world: World,
    name: str,
    handlers: Mapping[JobKind, Handler],
    *,
    consumer: str = "tested",
    lease: float = MESSAGE_LEASE,
) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a worker on a queue. At the end it stops, which finishes its running jobs."""
    stopping = asyncio.Event()
    async with open_consumer(world.sources.settings, name, consumer, lease) as queue:
        worker = Worker(world.tools, queue, handlers=handlers, outage_pause=0.01, read_wait=0.05)
        running = asyncio.create_task(worker.run(stopping))
        try:
            yield running
        finally:
            stopping.set()
            await asyncio.wait([running])
            await cancel_tasks(worker._calls)
        assert running.cancelled() or running.result() is None


def stream_of(world: World, name: str = "counters") -> str:
    """The Redis key of a queue."""
    return stream_key(world.sources.settings.key_prefix, name)


async def is_empty(world: World, name: str = "counters") -> bool:
    """Whether a queue holds no message."""
    return not await world.sources.job_queue.depth(name)


async def failures(world: World) -> list[dict[str, Any]]:
    """The stored failures of jobs, dead letters included."""
    return await world.sources.database["failures"].find().to_list()
