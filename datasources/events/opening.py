"""Opening the sinks of public events that the settings name."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from config import Settings
from datasources.events.event_sink import EventSink
from datasources.events.redis_stream import RedisEventStream
from datasources.redis.roles import RedisRoles
from domain.jobs import Task

EventSinks = Mapping[Task, EventSink]


@contextlib.asynccontextmanager
async def open_event_sinks(settings: Settings, redis: RedisRoles) -> AsyncIterator[EventSinks]:
    """The sinks outside MongoDB, by the tasks that fill them. They connect on first use."""
    sinks: dict[Task, EventSink] = {}
    if "redis" in settings.events:
        sinks[Task.PUBLISH_REDIS] = RedisEventStream(redis.queue, settings)
    yield sinks
