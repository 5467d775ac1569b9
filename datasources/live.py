"""Live news across processes: Redis pub/sub as a doorbell, one connection per process.

A topic's news carries no content. Whoever listens reads the durable store again, so a lost message costs only the wait
until the next look (`POLL_SECONDS`), never an event.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import structlog
from bson import ObjectId
from redis.asyncio import Redis
from redis.exceptions import RedisError

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
        self._pubsub = redis.pubsub()
        self._subscribing = asyncio.Lock()  # the connection must not be made twice
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._wanted = asyncio.Event()

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
        self._wanted.set()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._subscribe(topic)
        try:
            yield event
        finally:
            self._listeners[topic].discard(event)
            if not self._listeners[topic]:
                del self._listeners[topic]
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    await self._pubsub.unsubscribe(self._prefix + topic)

    async def run(self) -> None:
        """Hears news until cancelled; connects again, and wakes every listener, after an outage."""
        while True:
            await self._wanted.wait()
            try:
                await self._subscribe("", *self._listeners)
                while True:
                    message = await self._pubsub.get_message(timeout=POLL_SECONDS)
                    if message is not None:  # news, or the confirmation of a subscription
                        self._wake(message["channel"].decode().removeprefix(self._prefix))
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("live.disconnected", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def close(self) -> None:
        """Gives the connection back."""
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _subscribe(self, *topics: str) -> None:
        async with self._subscribing:
            await self._pubsub.subscribe(*(self._prefix + topic for topic in topics))

    def _wake(self, topic: str) -> None:
        for event in self._listeners.get(topic, ()):
            event.set()
