"""Opening the sinks of public events that the settings name."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from config import Settings
from datasources.events.event_sink import EventSink
from datasources.events.redis_stream import RedisEventStream
from datasources.events.sns_topic import SnsEventTopic, prepare_event_topic
from datasources.jobs.aws_clients import open_clients
from datasources.redis.roles import RedisRoles
from domain.jobs import Task

EventSinks = Mapping[Task, EventSink]


@contextlib.asynccontextmanager
async def open_event_sinks(settings: Settings, redis: RedisRoles) -> AsyncIterator[EventSinks]:
    """The sinks outside MongoDB, by the tasks that fill them. They connect on first use."""
    sinks: dict[Task, EventSink] = {}
    if "redis" in settings.events:
        sinks[Task.PUBLISH_REDIS] = RedisEventStream(redis.queue, settings)
    async with contextlib.AsyncExitStack() as stack:
        if "sns" in settings.events:
            sns, _ = await stack.enter_async_context(open_clients(settings))
            sinks[Task.PUBLISH_SNS] = SnsEventTopic(sns, settings)
        yield sinks


async def prepare_events(settings: Settings) -> None:
    """Makes what is missing of the sinks. Safe to repeat. Raises an outage."""
    if "sns" in settings.events:
        await prepare_event_topic(settings)
