"""Listening to `feedUpdated` without a socket, and reading the feed meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from datasources.feed.live_listeners import feed_topic
from domain.records.users import UserRecord
from resolvers.api import schema
from schema.context import Context
from tests.support.factories import World, session_of
from tests.support.waiting import eventually

LIVE = "subscription { feedUpdated { newPostCount } }"
LATEST = "{ feed(first: 5) { edges { node { id } } } }"
Counts = AsyncGenerator[int]


async def _counts(world: World, viewer: UserRecord) -> Counts:
    stream: Any = await schema.subscribe(LIVE, context_value=Context(world.sources, session_of(viewer), "test"))
    async with contextlib.aclosing(stream):
        async for result in stream:
            assert result.errors is None
            yield result.data["feedUpdated"]["newPostCount"]


@contextlib.asynccontextmanager
async def listening(world: World, viewer: UserRecord) -> AsyncGenerator[Callable[[], Any]]:
    """A function that waits for the next count. The block begins once the viewer is known to listen."""
    counts = _counts(world, viewer)
    received = asyncio.Queue[int]()

    async def pump() -> None:
        async for count in counts:
            await received.put(count)

    task = asyncio.create_task(pump())
    channel = f"{world.sources.settings.key_prefix}news:{feed_topic(viewer.id)}"

    async def is_heard() -> bool:
        ((_, heard),) = await world.redis.pubsub_numsub(channel)
        lapse = await world.redis.zscore(listeners_key(world), str(viewer.id))
        return bool(heard) and lapse is not None

    try:
        await eventually(is_heard)
        yield lambda: asyncio.wait_for(received.get(), 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await counts.aclose()


def listeners_key(world: World) -> str:
    """The Redis key of who listens."""
    return f"{world.sources.settings.key_prefix}feeds:listening"


async def reader_and_author(world: World) -> tuple[UserRecord, UserRecord]:
    """A reader, and somebody they follow."""
    reader, author = await world.users(2)
    await world.follow(reader, author)
    await world.drain()
    await read(world, reader)
    return reader, author


async def read(world: World, reader: UserRecord, document: str = LATEST) -> None:
    """Reads the feed, and waits until that is recorded."""
    before = await world.sources.feed_listeners.note_listening(reader.id)
    result = await world.execute(document, reader)
    assert result.errors is None
    assert result.data is not None
    if result.data["feed"]["edges"]:

        async def is_noted() -> bool:
            return await world.sources.feed_listeners.note_listening(reader.id) != before

        await eventually(is_noted)
