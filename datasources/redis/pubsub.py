"""News across processes by Redis pub/sub: it wakes listeners, over one connection of each process to each server.

The news of a topic (`kind:id`) has no content: a listener reads the durable store again, so a lost message costs only
the wait for the next check. For a kind with a `Check` this process asks the store in batches which topics have changed:
a topic when Redis confirms its subscription, and all of them at intervals (docs/adr/0014-sockets-without-polling.md).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import structlog
from bson import ObjectId
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from datasources.concurrency.signals import Signal
from datasources.concurrency.tasks import cancel_tasks, keep_running
from datasources.redis.cluster import Moved
from datasources.redis.news_receiver import NewsReceiver, running
from datasources.redis.pipelines import Pipelines, errors_of
from datasources.redis.servers import RedisServers

log = structlog.get_logger(__name__)

POLL_SECONDS = 15.0  # between two checks of all topics while pub/sub is away
CONNECTED_POLL_SECONDS = 60.0  # the same while it works
BATCH_SECONDS = 0.05  # a check waits so long for more topics
MAX_CHECKED = 1_000  # topics in one check
PUBLISH_SECONDS = 0.25
RECHECK_SECONDS = 4.0  # after topics got other servers: by then every process knows them

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

    def __init__(self, servers: RedisServers, prefix: str) -> None:
        self._servers = servers
        self._prefix = f"{prefix}news:"
        self._listeners: dict[str, list[Listener]] = {}
        self._kinds: dict[str, _Kind] = {}
        self._receivers: dict[Redis, NewsReceiver] = {}
        self._has_changed = Signal()  # the receivers
        self._were_known = False  # the servers of a cluster, before the last change
        self._due: set[str] = set()  # topics to check
        self._has_due = Signal()
        servers.on_open(self._add_receiver)
        servers.on_change(self._reassign)

    def set_check(self, kind: str, check: Check, *, checks_news: bool = False) -> None:
        """Sets how topics of a kind are checked. With `checks_news`, news of a topic is checked before it wakes."""
        self._kinds[kind] = _Kind(check, checks_news)

    async def publish(self, *topics: str) -> None:
        """Sends news of these topics. Best effort: never raises, and takes at most `PUBLISH_SECONDS`."""
        pipelines = Pipelines(self._servers)
        try:
            for topic in set(topics):
                channel = self._prefix + topic
                pipeline = pipelines.at(channel)
                (pipeline.spublish if self._servers.is_cluster else pipeline.publish)(channel, b"")
        except RedisError as error:  # some server of a cluster is not known
            errors: list[Exception] = [error]
        else:
            errors = errors_of(await pipelines.execute(PUBLISH_SECONDS))
        if errors:
            log.warning("news.not_published", topics=len(errors), error=type(errors[0]).__name__)

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
        server = self._server_of(topic)
        if server is not None:
            self._receivers[server].alter((topic,))

    async def run(self) -> None:
        """Receives news, and checks, until cancelled. After an outage it reconnects, and checks or wakes all."""
        receiving = keep_running("receive all news", self._keep_receiving)
        checking = keep_running("check news", self._keep_checking)
        async with running(receiving) as first, running(checking) as second:
            await asyncio.wait((first, second))

    # Receiving

    def _add_receiver(self, redis: Redis) -> None:
        def is_wanted(topic: str) -> bool:
            return topic in self._listeners and self._server_of(topic) is redis

        self._receivers[redis] = NewsReceiver(
            redis,
            self._prefix,
            is_in_cluster=self._servers.is_cluster,
            topics=lambda: list(filter(is_wanted, self._listeners)),
            is_wanted=is_wanted,
            take=self._take,
            lost=self._add_due,
        )
        self._has_changed.set()

    def _reassign(self, has_moved: Moved) -> None:
        """Some topics belong to other servers now."""
        for redis in self._receivers.keys() - set(self._servers.all):
            del self._receivers[redis]
        moved = self._moved(has_moved)
        for receiver in self._receivers.values():
            receiver.alter(moved)
        self._has_changed.set()
        if self._were_known:
            asyncio.get_running_loop().call_later(RECHECK_SECONDS, self._recheck, has_moved)
        self._were_known = True

    def _recheck(self, has_moved: Moved) -> None:
        """Others may have sent news to the old servers, until they noticed."""
        for topic in self._moved(has_moved):
            self._take(topic, is_news=False)

    def _moved(self, has_moved: Moved) -> list[str]:
        return [topic for topic in self._listeners if has_moved(self._prefix + topic)]

    def _server_of(self, topic: str) -> Redis | None:
        try:
            return self._servers.of(self._prefix + topic)
        except RedisConnectionError:
            return None

    async def _keep_receiving(self) -> None:
        tasks: dict[NewsReceiver, asyncio.Task[None]] = {}
        try:
            while True:
                self._has_changed.clear()
                receivers = set(self._receivers.values())
                await cancel_tasks([tasks.pop(gone) for gone in tasks.keys() - receivers])
                for new in receivers - tasks.keys():
                    tasks[new] = asyncio.create_task(keep_running("receive news", new.run), name="receive news")
                await self._has_changed.wait()
        finally:
            await cancel_tasks(tasks.values())

    def _take(self, topic: str, is_news: bool) -> None:
        kind = self._kinds.get(_kind_of(topic))
        if kind is None or (is_news and not kind.checks_news):
            self._wake(topic)
        else:  # news to check, or the confirmation of a subscription, also of one made again
            self._add_due((topic,))

    def _wake(self, topic: str) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            listener.set()

    def _is_connected(self) -> bool:
        return bool(self._receivers) and all(receiver.is_connected for receiver in self._receivers.values())

    # Checking

    def _add_due(self, topics: Iterable[str]) -> None:
        self._due.update(topics)
        self._has_due.set()

    async def _keep_checking(self) -> None:
        now = asyncio.get_running_loop().time
        checked_at, was_checked = now(), True  # when all topics were checked, and whether all checks succeeded
        while True:
            pause = CONNECTED_POLL_SECONDS if self._is_connected() and was_checked else POLL_SECONDS
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
