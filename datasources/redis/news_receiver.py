"""The subscriptions of one process at one Redis server, over one connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.crc import key_slot
from redis.exceptions import MovedError, RedisError

from datasources.concurrency.signals import Signal
from datasources.concurrency.tasks import cancel_tasks

log = structlog.get_logger(__name__)

PING_SECONDS = 15.0  # without a message, after which Redis is asked for a sign of life
SILENT_SECONDS = 30.0  # the same, after which the connection counts as lost
RECONNECT_SECONDS = 0.5
NEWS = "message", "smessage"
ENDED = "unsubscribe", "sunsubscribe"


class NewsReceiver:
    """Keeps subscribed to `topics`, all that belong to one server; `is_wanted` tells whether a topic is among them.

    `take` gets the topic of each message, and whether it is news; else it confirms that the topic is subscribed, also
    when that is done again. `lost` gets topics of which something may have been missed. In a cluster topics are
    shard channels.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        is_in_cluster: bool,
        topics: Callable[[], Collection[str]],
        is_wanted: Callable[[str], bool],
        take: Callable[[str, bool], None],
        lost: Callable[[Collection[str]], None],
    ) -> None:
        self.is_connected = False
        self._redis = redis
        self._prefix = prefix
        self._is_in_cluster = is_in_cluster
        self._topics, self._is_wanted, self._take, self._lost = topics, is_wanted, take, lost
        self._altered = {"", *topics()}  # topics to subscribe to or to leave; the empty one keeps the connection open
        self._has_altered = Signal()
        self._has_altered.set()
        self._subscribed: set[str] = set()
        self._moved: set[int] = set()  # slots that the server does not have any more
        self._heard_at = 0.0  # in the event loop's time

    def alter(self, topics: Iterable[str]) -> None:
        """Has these topics subscribed to or left, as they are wanted or not."""
        self._altered.update(topics)
        self._has_altered.set()

    async def run(self) -> None:
        """Receives until cancelled. After an outage it reconnects, and confirms every topic again."""
        while True:
            await self._has_altered.wait()
            try:
                async with self._redis.pubsub() as pubsub:
                    await self._receive(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("news.disconnected", error=type(error).__name__)
            finally:  # whatever it was, nothing is subscribed any more
                self.is_connected = False
                self._subscribed = set()
                topics = self._topics()
                self.alter(("", *topics))
                self._lost(topics)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _receive(self, pubsub: PubSub) -> None:
        """Reads news, and pauses to subscribe: a connection that reconnects must not be used by two tasks."""
        self._heard_at = asyncio.get_running_loop().time()
        while True:
            self._has_altered.clear()
            altered, self._altered = self._altered, set()
            added = {topic for topic in altered - self._subscribed if not topic or self._is_wanted(topic)}
            removed = {topic for topic in altered & self._subscribed if topic and not self._is_wanted(topic)}
            if added:
                await self._subscribe(pubsub, added)
            if removed:
                await self._unsubscribe(pubsub, removed)
            self._subscribed = (self._subscribed | added) - removed
            async with running(self._read(pubsub)) as reading, running(self._has_altered.wait()) as changing:
                await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    await reading

    async def _subscribe(self, pubsub: PubSub, topics: set[str]) -> None:
        if not self._is_in_cluster:
            await pubsub.subscribe(*(self._prefix + topic for topic in topics))
            return
        if "" in topics:
            await pubsub.subscribe(self._prefix)  # an ordinary channel, which every server takes
        for topic in topics - {""}:  # one by one: a command's channels must be in one slot
            await pubsub.ssubscribe(self._prefix + topic)

    async def _unsubscribe(self, pubsub: PubSub, topics: set[str]) -> None:
        if not self._is_in_cluster:
            await pubsub.unsubscribe(*(self._prefix + topic for topic in topics))
            return
        for topic in topics:
            await pubsub.sunsubscribe(self._prefix + topic)

    async def _read(self, pubsub: PubSub) -> None:
        """Reads until the connection is lost, or silent for `SILENT_SECONDS`: a server that hangs closes none."""
        now = asyncio.get_running_loop().time
        while True:
            left = max(0.0, self._heard_at + SILENT_SECONDS - now())
            try:
                message = await pubsub.get_message(timeout=min(PING_SECONDS, left))
            except MovedError as error:
                self._heard_at = now()
                self._ask_again(error.slot_id)
                continue
            if message is not None:
                self._heard_at, self.is_connected = now(), True
                if message["type"] != "pong":
                    self._handle(message)
            elif now() >= self._heard_at + SILENT_SECONDS:
                raise TimeoutError
            else:
                await pubsub.ping()

    def _ask_again(self, slot: int) -> None:
        """The server does not have this slot any more: its topics are asked for again soon, if still wanted."""
        if not self._moved:
            asyncio.get_running_loop().call_later(RECONNECT_SECONDS, self._alter_moved)
        self._moved.add(slot)

    def _alter_moved(self) -> None:
        """Together for all slots, because a server loses many at once."""
        moved, self._moved = self._moved, set()
        gone = {topic for topic in self._subscribed if key_slot((self._prefix + topic).encode()) in moved}
        self._subscribed -= gone
        self.alter(gone)

    def _handle(self, message: Mapping[str, Any]) -> None:
        topic = message["channel"].decode().removeprefix(self._prefix)
        if message["type"] not in ENDED:
            self._take(topic, message["type"] in NEWS)
        elif topic in self._subscribed:  # the server has ended it, because the slot moves to another
            self._subscribed.discard(topic)
            self.alter((topic,))


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """Runs `work` as a task during the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancel_tasks([task])
