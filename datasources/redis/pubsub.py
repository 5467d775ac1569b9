"""News across processes by Redis pub/sub: it wakes listeners, over one connection for each process.

The news of a topic (`kind:id`) has no content: a listener reads the durable store again, so a lost message costs only
the wait for the next check. For a kind with a `Check` this process asks the store in batches which topics have changed:
a topic when Redis confirms its subscription, and all of them at intervals (docs/adr/0014-sockets-without-polling.md).
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import structlog
from bson import ObjectId
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from datasources.concurrency.signals import Signal
from datasources.concurrency.tasks import cancel_tasks, keep_running

log = structlog.get_logger(__name__)

POLL_SECONDS = 15.0  # between two checks of all topics while pub/sub is away
CONNECTED_POLL_SECONDS = 60.0  # the same while it works
BATCH_SECONDS = 0.05  # a check waits so long for more topics
MAX_CHECKED = 1_000  # topics in one check
PUBLISH_SECONDS = 0.25
PING_SECONDS = 15.0  # without a message, after which Redis is asked for a sign of life
SILENT_SECONDS = 30.0  # the same, after which the connection counts as lost
RECONNECT_SECONDS = 0.5

Check = Callable[[Sequence[ObjectId]], Awaitable[Mapping[ObjectId, object]]]
"""The present version of each of these ids, whatever is comparable; one operation. What is missing has version None."""


class Listener(Signal):
    """Is set whenever there may be news of its topic; clear it before reading.

    `seen` is the version that was read last: a check sets the listener only if there is another version.
    """

    __slots__ = ("_news", "seen", "topic")

    def __init__(self, news: "News", topic: str, seen: object = ...) -> None:
        super().__init__()
        self._news = news
        self.topic = topic
        self.seen = seen  # nothing is equal to the default

    def start(self) -> None:
        self._news.add(self)

    def stop(self) -> None:
        """Stops to listen. Safe to repeat."""
        self._news.discard(self)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.stop()


class _Kind(NamedTuple):
    check: Check
    checks_news: bool


class News:
    """Publishes and receives news by topic; nothing is received unless `run` is running."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}news:"
        self._listeners: dict[str, list[Listener]] = {}
        self._kinds: dict[str, _Kind] = {}
        self._altered = {""}  # topics to subscribe to or to leave; the empty one keeps the connection open
        self._has_altered = Signal()
        self._is_connected = False
        self._heard_at = 0.0  # in the event loop's time
        self._due: set[str] = set()  # topics to check
        self._has_due = Signal()

    def set_check(self, kind: str, check: Check, *, checks_news: bool = False) -> None:
        """Sets how topics of a kind are checked. With `checks_news`, news of a topic is checked before it wakes."""
        self._kinds[kind] = _Kind(check, checks_news)

    async def publish(self, *topics: str) -> None:
        """Sends news of these topics. Best effort: never raises, and takes at most `PUBLISH_SECONDS`."""
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                pipeline = self._redis.pipeline(transaction=False)
                for topic in set(topics):
                    pipeline.publish(self._prefix + topic, b"")
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("news.not_published", topics=len(topics), error=type(error).__name__)

    def listen(self, topic: str) -> Listener:
        """A listener, which listens within `async with`.

        It is set, or its topic is checked, when Redis confirms the subscription. So who reads after entering and each
        time that it is set misses nothing.
        """
        return Listener(self, topic)

    def add(self, listener: Listener) -> None:
        if listener.topic not in self._listeners:
            self._alter(listener.topic)
        self._listeners.setdefault(listener.topic, []).append(listener)

    def discard(self, listener: Listener) -> None:
        listeners = self._listeners.get(listener.topic, [])
        if listener in listeners:
            listeners.remove(listener)
            if not listeners:
                del self._listeners[listener.topic]
                self._alter(listener.topic)

    def _alter(self, topic: str) -> None:
        self._altered.add(topic)
        self._has_altered.set()

    async def run(self) -> None:
        """Receives news, and checks, until cancelled. After an outage it reconnects, and checks or wakes all."""
        receiving = keep_running("receive news", self._keep_receiving)
        checking = keep_running("check news", self._keep_checking)
        async with _running(receiving) as first, _running(checking) as second:
            await asyncio.wait((first, second))

    # Receiving

    async def _keep_receiving(self) -> None:
        while True:
            await self._has_altered.wait()
            try:
                async with self._redis.pubsub() as pubsub:
                    await self._receive(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("news.disconnected", error=type(error).__name__)
            finally:  # whatever it was, nothing is subscribed any more
                self._is_connected = False
                self._altered.update(("", *self._listeners))
                self._has_altered.set()
                self._add_due(self._listeners)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _receive(self, pubsub: PubSub) -> None:
        """Reads news, and pauses to subscribe: a connection that reconnects must not be used by two tasks."""
        subscribed: set[str] = set()
        self._heard_at = asyncio.get_running_loop().time()
        while True:
            self._has_altered.clear()
            altered, self._altered = self._altered, set()
            added = {topic for topic in altered - subscribed if topic in self._listeners or not topic}
            removed = {topic for topic in altered & subscribed if topic not in self._listeners and topic}
            if added:
                await pubsub.subscribe(*(self._prefix + topic for topic in added))
            if removed:
                await pubsub.unsubscribe(*(self._prefix + topic for topic in removed))
            subscribed = (subscribed | added) - removed
            async with _running(self._read(pubsub)) as reading, _running(self._has_altered.wait()) as changing:
                await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    await reading

    async def _read(self, pubsub: PubSub) -> None:
        """Reads until the connection is lost, or silent for `SILENT_SECONDS`: a server that hangs closes none."""
        now = asyncio.get_running_loop().time
        while True:
            left = max(0.0, self._heard_at + SILENT_SECONDS - now())
            message = await pubsub.get_message(timeout=min(PING_SECONDS, left))
            if message is not None:
                self._heard_at, self._is_connected = now(), True
                if message["type"] != "pong":
                    self._take(message)
            elif now() >= self._heard_at + SILENT_SECONDS:
                raise TimeoutError
            else:
                await pubsub.ping()

    def _take(self, message: Mapping[str, Any]) -> None:
        topic = message["channel"].decode().removeprefix(self._prefix)
        kind = self._kinds.get(_kind_of(topic))
        if kind is None or (message["type"] == "message" and not kind.checks_news):
            self._wake(topic)
        else:  # news to check, or the confirmation of a subscription, also of one made again
            self._add_due((topic,))

    def _wake(self, topic: str) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            listener.set()

    # Checking

    def _add_due(self, topics: Iterable[str]) -> None:
        self._due.update(topics)
        self._has_due.set()

    async def _keep_checking(self) -> None:
        now = asyncio.get_running_loop().time
        checked_at, was_checked = now(), True  # when all topics were checked, and whether all checks succeeded
        while True:
            pause = CONNECTED_POLL_SECONDS if self._is_connected and was_checked else POLL_SECONDS
            try:
                async with asyncio.timeout_at(checked_at + pause):
                    await self._has_due.wait()
                    await asyncio.sleep(BATCH_SECONDS)
                topics: Collection[str] = self._due
            except TimeoutError:
                topics, checked_at, was_checked = tuple(self._listeners), now(), True
            self._has_due.clear()
            self._due = set()
            was_checked = await self._check(topics) and was_checked

    async def _check(self, topics: Iterable[str]) -> bool:
        """Wakes the listeners of topics that have changed; False if some topics could not be checked."""
        by_kind: dict[str, list[str]] = defaultdict(list)
        for topic in topics:
            if topic in self._listeners and _kind_of(topic) in self._kinds:
                by_kind[_kind_of(topic)].append(topic)
        was_checked = True
        for kind, of_kind in by_kind.items():
            for start in range(0, len(of_kind), MAX_CHECKED):
                was_checked &= await self._check_batch(self._kinds[kind].check, of_kind[start : start + MAX_CHECKED])
        return was_checked

    async def _check_batch(self, check: Check, topics: Sequence[str]) -> bool:
        ids = {topic: ObjectId(topic.partition(":")[2]) for topic in topics}
        try:
            versions = await check(list(ids.values()))
        except Exception as error:  # noqa: BLE001  most likely an outage; they are checked again
            log.warning("news.check_failed", topics=len(topics), error=type(error).__name__)
            return False
        for topic, id_ in ids.items():
            for listener in tuple(self._listeners.get(topic, ())):
                if listener.seen != versions.get(id_):
                    listener.set()
        return True


def _kind_of(topic: str) -> str:
    return topic.partition(":")[0]


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancel_tasks([task])
