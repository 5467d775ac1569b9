"""Opening the job queue that the settings name."""

import contextlib
from collections.abc import AsyncIterator

from config import Settings
from datasources.concurrency.process_exit import close_in_time
from datasources.jobs.aws_clients import open_clients, open_sqs
from datasources.jobs.aws_setup import prepare_queues, redrive_set_aside
from datasources.jobs.queue import MESSAGE_LEASE, JobQueue, QueueConsumer
from datasources.jobs.redis_queue import RedisConsumer, RedisTransport
from datasources.jobs.sns_queue import SnsTransport
from datasources.jobs.sqs_consumer import POLL_SECONDS, SqsConsumer
from datasources.redis.roles import RedisRoles, open_queue_servers
from datasources.redis.servers import following
from domain.jobs import PUBLISHING, Task

BLOCKING_READ_SECONDS = 5.0


@contextlib.asynccontextmanager
async def open_job_queue(settings: Settings, redis: RedisRoles) -> AsyncIterator[JobQueue]:
    """What enqueues jobs in this process."""
    publishing = [PUBLISHING[place] for place in settings.events]
    screening = [Task.SCREEN] if settings.screens_content else []
    if settings.job_queue == "redis":
        yield JobQueue(RedisTransport(redis.queue, settings.key_prefix), publishing, screening)
        return
    async with open_clients(settings) as (sns, sqs):
        yield JobQueue(SnsTransport(sns, sqs, settings), publishing, screening)


@contextlib.asynccontextmanager
async def open_consumer(
    settings: Settings, worker: str, consumer: str, lease: float = MESSAGE_LEASE
) -> AsyncIterator[QueueConsumer]:
    """One worker's queue, over connections of its own that may block."""
    async with contextlib.AsyncExitStack() as stack:
        servers = open_queue_servers(settings, BLOCKING_READ_SECONDS + settings.redis_timeout)
        stack.push_async_callback(close_in_time, servers.aclose)
        await stack.enter_async_context(following(servers))
        if settings.job_queue == "redis":
            yield RedisConsumer(servers, settings.key_prefix, worker, consumer, lease)
            return
        sqs = await stack.enter_async_context(open_sqs(settings, POLL_SECONDS))
        yield SqsConsumer(sqs, servers, settings, worker, consumer, lease)


async def redrive_job_queue(settings: Settings) -> int:
    """Puts messages back that the queue itself has set aside, which Redis never does; returns how many."""
    return await redrive_set_aside(settings) if settings.job_queue == "sns-sqs" else 0


async def prepare_job_queue(settings: Settings) -> None:
    """Makes what is missing of the queues. Safe to repeat and to run side by side. Raises an outage."""
    if settings.job_queue == "sns-sqs":
        await prepare_queues(settings)
