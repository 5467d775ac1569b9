"""Live news across processes: Redis pub/sub as a doorbell, one connection per process.

A topic's news carries no content. Whoever listens reads the durable store again, so a lost message costs only the wait
until the next look (`POLL_SECONDS`), never an event.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from bson import ObjectId
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from datasources.tasks import cancelled

log = structlog.get_logger(__name__)

POLL_SECONDS = 15.0
PUBLISH_SECONDS = 0.25
RECONNECT_SECONDS = 0.5


def notifications_of(user_id: ObjectId) -> str:
    """The topic of a user's notifications."""
    return f"notifications:{user_id}"


def upload_topic(upload_id: ObjectId) -> str:
    """The topic of one upload."""
    return f"upload:{upload_id}"


def session_topic(session_id: ObjectId) -> str:
    """The topic that tells the end of a session."""
    return f"session:{session_id}"


class Live:
    """Publishes and hears news by topic; `run` must be running for news to be heard."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}live:"
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._changed = asyncio.Event()  # there are topics to subscribe to, or to leave

    async def publish(self, *topics: str) -> None:
        """Tells that something changed. Best effort: never raises and takes at most `PUBLISH_SECONDS`."""
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                pipeline = self._redis.pipeline(transaction=False)
                for topic in set(topics):
                    pipeline.publish(self._prefix + topic, b"")
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("live.unheard", topics=len(topics), error=type(error).__name__)

    @contextlib.asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever there may be news on the topic; clear it before looking.

        It is set once more when Redis confirms the subscription, so looking after entering and after each set misses
        nothing. Look after every `POLL_SECONDS` without news too, for messages get lost.
        """
        event = asyncio.Event()
        self._listeners[topic].add(event)
        self._changed.set()
        try:
            yield event
        finally:
            self._listeners[topic].discard(event)
            if not self._listeners[topic]:
                del self._listeners[topic]
                self._changed.set()

    async def run(self) -> None:
        """Hears news until cancelled; connects again, and wakes every listener, after an outage."""
        while True:
            await self._changed.wait()
            try:
                async with self._redis.pubsub() as pubsub:
                    await self._hear(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("live.disconnected", error=type(error).__name__)
                self._changed.set()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self, pubsub: PubSub) -> None:
        """Reads news; pauses it to subscribe, for two tasks at one connection would trip over its reconnecting."""
        heard: set[str] = set()
        while True:
            self._changed.clear()
            wanted = {"", *self._listeners}  # the empty topic keeps the connection when nobody listens
            await self._subscribe(pubsub, wanted - heard, heard - wanted)
            heard = wanted
            async with _running(self._read(pubsub)) as reading, _running(self._changed.wait()) as changing:
                await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    await reading

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=POLL_SECONDS)
            if message is not None:  # news, or the confirmation of a subscription, also of one made again
                self._wake(message["channel"].decode().removeprefix(self._prefix))

    async def _subscribe(self, pubsub: PubSub, come: set[str], gone: set[str]) -> None:
        if come:
            await pubsub.subscribe(*(self._prefix + topic for topic in come))
        if gone:
            await pubsub.unsubscribe(*(self._prefix + topic for topic in gone))

    def _wake(self, topic: str) -> None:
        for event in self._listeners.get(topic, ()):
            event.set()


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """A task for the time of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancelled([task])
