"""Live news across processes: Redis pub/sub wakes whoever listens, over one connection for each process.

A topic's news carries no content. Whoever listens reads the durable store again, so a lost message is never a lost
event: it costs only the wait for the next check. A topic is `kind:id`; for a kind with a `Check` this process asks the
store in batches which topics have changed, in place of every listener asking for itself: once Redis confirms that it
sends a topic's news, every `POLL_SECONDS` while it sends none, and else every `CALM_SECONDS`, for the process that
writes can die between its commit and its message.
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
from datasources.concurrency.tasks import cancelled

log = structlog.get_logger(__name__)

POLL_SECONDS = 15.0  # between two checks of everything while pub/sub is away
CALM_SECONDS = 60.0  # the same while it works
GATHER_SECONDS = 0.05  # a check waits so long for company
CHECKED_AT_ONCE = 1_000  # topics
PUBLISH_SECONDS = 0.25
RECONNECT_SECONDS = 0.5

Check = Callable[[Sequence[ObjectId]], Awaitable[Mapping[ObjectId, object]]]
"""The present version of each of these ids, whatever is comparable; one operation. What is missing has version None."""


class Listener(Signal):
    """Is set whenever there may be news on its topic; clear it before looking.

    `seen` is the version that was read last: a check of the topic's kind sets the listener only if there is another.
    """

    __slots__ = ("_live", "seen", "topic")

    def __init__(self, live: "Live", topic: str, seen: object = ...) -> None:
        super().__init__()
        self._live = live
        self.topic = topic
        self.seen = seen  # nothing is equal to the default

    def start(self) -> None:
        """Begins to listen."""
        self._live.add(self)

    def stop(self) -> None:
        """Listens no more. Safe to repeat."""
        self._live.discard(self)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.stop()


class _Kind(NamedTuple):
    check: Check
    doubts_news: bool


class Live:
    """Publishes and hears news by topic; `run` must be running for news to be heard."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}live:"
        self._listeners: dict[str, list[Listener]] = {}
        self._kinds: dict[str, _Kind] = {}
        self._altered = {""}  # topics to subscribe to, or to leave; the empty one keeps the connection
        self._changed = Signal()  # there are some
        self._is_heard = False  # Redis sends news
        self._due: set[str] = set()  # topics to check
        self._has_due = Signal()

    def check_by(self, kind: str, check: Check, *, doubts_news: bool = False) -> None:
        """Says how topics of a kind are checked; with `doubts_news` a message about one only makes it be checked."""
        self._kinds[kind] = _Kind(check, doubts_news)

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

    def listen(self, topic: str) -> Listener:
        """A listener, which listens within `async with`.

        It is set, or its topic is checked, once more when Redis confirms the subscription, so looking after entering
        and after each set misses nothing.
        """
        return Listener(self, topic)

    def add(self, listener: Listener) -> None:
        """As `listener.start`."""
        if listener.topic not in self._listeners:
            self._alter(listener.topic)
        self._listeners.setdefault(listener.topic, []).append(listener)

    def discard(self, listener: Listener) -> None:
        """As `listener.stop`."""
        there = self._listeners.get(listener.topic, [])
        if listener in there:
            there.remove(listener)
            if not there:
                del self._listeners[listener.topic]
                self._alter(listener.topic)

    def _alter(self, topic: str) -> None:
        self._altered.add(topic)
        self._changed.set()

    async def run(self) -> None:
        """Hears news, and checks, until cancelled; connects again, and checks or wakes all, after an outage."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_hearing())
            tasks.create_task(self._keep_checking())

    # Hearing

    async def _keep_hearing(self) -> None:
        while True:
            await self._changed.wait()
            try:
                async with self._redis.pubsub() as pubsub:
                    await self._hear(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("live.disconnected", error=type(error).__name__)
                self._is_heard = False
                self._altered.update(("", *self._listeners))
                self._changed.set()
                self._call_due(self._listeners)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self, pubsub: PubSub) -> None:
        """Reads news; pauses it to subscribe, for two tasks at one connection would trip over its reconnecting."""
        heard: set[str] = set()
        while True:
            self._changed.clear()
            altered, self._altered = self._altered, set()
            come = {topic for topic in altered - heard if topic in self._listeners or not topic}
            gone = {topic for topic in altered & heard if topic not in self._listeners and topic}
            await self._subscribe(pubsub, come, gone)
            heard |= come
            heard -= gone
            async with _running(self._read(pubsub)) as reading, _running(self._changed.wait()) as changing:
                await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    await reading

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=POLL_SECONDS)
            self._is_heard = True
            if message is not None:
                topic = message["channel"].decode().removeprefix(self._prefix)
                kind = self._kinds.get(_kind_of(topic))
                if kind is None or (message["type"] == "message" and not kind.doubts_news):
                    self._wake(topic)
                else:  # the confirmation of a subscription, also of one made again
                    self._call_due((topic,))

    async def _subscribe(self, pubsub: PubSub, come: set[str], gone: set[str]) -> None:
        if come:
            await pubsub.subscribe(*(self._prefix + topic for topic in come))
        if gone:
            await pubsub.unsubscribe(*(self._prefix + topic for topic in gone))

    def _wake(self, topic: str) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            listener.set()

    # Checking

    def _call_due(self, topics: Iterable[str]) -> None:
        self._due.update(topics)
        self._has_due.set()

    async def _keep_checking(self) -> None:
        now = asyncio.get_running_loop().time
        checked_at, was_checked = now(), True
        while True:
            pause = CALM_SECONDS if self._is_heard and was_checked else POLL_SECONDS
            try:
                async with asyncio.timeout_at(checked_at + pause):
                    await self._has_due.wait()
                    await asyncio.sleep(GATHER_SECONDS)
                topics: Collection[str] = self._due
            except TimeoutError:
                topics, checked_at, was_checked = tuple(self._listeners), now(), True
            self._has_due.clear()
            self._due = set()
            was_checked = await self._check(topics) and was_checked

    async def _check(self, topics: Iterable[str]) -> bool:
        """Wakes who listens to what has changed; False if that could not be found out for all."""
        by_kind: dict[str, list[str]] = defaultdict(list)
        for topic in topics:
            if topic in self._listeners and _kind_of(topic) in self._kinds:
                by_kind[_kind_of(topic)].append(topic)
        well = True
        for kind, some in by_kind.items():
            for start in range(0, len(some), CHECKED_AT_ONCE):
                well &= await self._check_kind(self._kinds[kind].check, some[start : start + CHECKED_AT_ONCE])
        return well

    async def _check_kind(self, check: Check, topics: Sequence[str]) -> bool:
        ids = {topic: ObjectId(topic.partition(":")[2]) for topic in topics}
        try:
            versions = await check(list(ids.values()))
        except Exception as error:  # noqa: BLE001  an outage; whatever it is, they are checked again
            log.warning("live.unchecked", topics=len(topics), error=type(error).__name__)
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
    """A task for the time of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancelled([task])
