"""A Redis Cluster: its masters, each with a client of its own, and which of them holds a key."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.cluster import parse_cluster_slots
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from datasources.concurrency.signals import Signal
from datasources.redis.addresses import Host

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 1.0  # between two looks at who holds what
PAUSE_SECONDS = 0.1  # the same, when servers say that it has changed
ASK_SECONDS = 0.5  # the longest wait for one node's answer to that
MAX_ASKED = 5  # nodes in one look

Moved = Callable[[str], bool]
"""Whether a key has another server now."""


class _View(NamedTuple):
    """Who holds what as one node sees it, and the greatest number of an election that it knows of."""

    epoch: int
    ranges: Mapping[tuple[int, int], Host]
    nodes: set[Host]


class ClusterServers:
    """The masters of a Redis Cluster.

    It is looked at every `REFRESH_SECONDS`, and at once when a server says that a key is elsewhere. Redirections are
    not followed: until the look, a moved key counts as one whose server is away.
    """

    is_cluster = True

    def __init__(self, seeds: Iterable[Host], connect: Callable[[Host], Redis]) -> None:
        self._seeds = tuple(seeds)
        self._connect = connect
        self._masters: dict[Host, Redis] = {}
        self._view = _View(0, {}, set())
        self._owners: list[Redis | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._opened: list[Callable[[Redis], None]] = []
        self._changed: list[Callable[[Moved], None]] = []
        self._is_stale = Signal()
        self._is_unknown = False
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def all(self) -> Sequence[Redis]:
        return tuple(self._masters.values())

    def of(self, key: str) -> Redis:
        owner = self._owners[key_slot(key.encode())]
        if owner is None:
            raise RedisConnectionError("no known server of the cluster holds this key")
        return owner

    def on_open(self, opened: Callable[[Redis], None]) -> None:
        self._opened.append(opened)
        for redis in self._masters.values():
            opened(redis)

    def on_change(self, changed: Callable[[Moved], None]) -> None:
        self._changed.append(changed)

    async def refresh(self) -> None:
        older: _View | None = None
        problem = ""
        for host in self._to_ask():
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    view = await self._ask(host)
            except (RedisError, OSError, TimeoutError) as error:
                problem = type(error).__name__
                continue
            if view.epoch >= self._view.epoch:
                self._take(view)
                return
            older = view  # of a node that is cut off from the others, unless they all say so
        if older is not None:
            self._take(older)
            return
        if not self._is_unknown:
            log.warning("redis.cluster_unknown", error=problem)
        self._is_unknown = True

    async def keep_refreshing(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._is_stale.wait()
            self._is_stale.clear()
            await self.refresh()
            await asyncio.sleep(PAUSE_SECONDS)

    async def ping(self) -> None:
        if None in self._owners:
            raise RedisConnectionError("the servers of the cluster are not known")
        await asyncio.gather(*(redis.ping() for redis in self.all))

    async def aclose(self) -> None:
        await asyncio.gather(*self._closing, *map(_close, self._masters.values()))

    def _to_ask(self) -> list[Host]:
        """Masters first, whose connections are open; then replicas and the nodes that the settings name."""
        masters, others = list(self._masters), [*(self._view.nodes - self._masters.keys()), *self._seeds]
        random.shuffle(masters)
        random.shuffle(others)
        return [*masters[: MAX_ASKED - 2], *others][:MAX_ASKED]

    async def _ask(self, host: Host) -> _View:
        master = self._masters.get(host)
        redis = master or self._connect(host)
        try:
            info: Any = await redis.cluster("INFO")
            slots = parse_cluster_slots(await redis.cluster("SLOTS"), current_host=host[0])
        finally:
            if master is None:
                await redis.aclose()
        if not slots:
            raise RedisConnectionError("the cluster is not formed yet")
        ranges = {(start, end): _host(holders["primary"]) for (start, end), holders in slots.items()}
        replicas = (_host(replica) for each in slots.values() for replica in each["replicas"])
        return _View(int(info["cluster_current_epoch"]), ranges, {*ranges.values(), *replicas})

    def _take(self, view: _View) -> None:
        self._is_unknown = False
        before, self._view, ranges = self._view, view, view.ranges
        if ranges == before.ranges:
            return
        if before.ranges:
            log.warning("redis.cluster_changed", masters=len(set(ranges.values())))
        for host in set(ranges.values()) - self._masters.keys():
            self._masters[host] = self._open(host)
        gone = [self._masters.pop(host) for host in self._masters.keys() - set(ranges.values())]
        former = self._owners
        owners: list[Redis | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._owners = owners
        for (start, end), host in ranges.items():
            owners[start : end + 1] = [self._masters[host]] * (end + 1 - start)

        def has_moved(key: str) -> bool:
            slot = key_slot(key.encode())
            return former[slot] is not owners[slot]

        for changed in self._changed:
            changed(has_moved)
        for redis in gone:
            closing = asyncio.create_task(_close(redis), name="close")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _open(self, host: Host) -> Redis:
        redis = self._connect(host)
        _watch(redis, self._is_stale.set)
        for opened in self._opened:
            opened(redis)
        return redis


async def _close(redis: Redis) -> None:
    """Closes a client; a server that is away takes no longer than a connection to it may."""
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await redis.aclose()


def _host(holder: tuple[str, int]) -> Host:
    name, port = holder
    return name, int(port)


def _watch(redis: Redis, is_stale: Callable[[], None]) -> None:
    """Has `is_stale` called when the server says that a key is elsewhere, or that the cluster is down."""
    pool: Any = redis.connection_pool
    base = pool.connection_class

    async def read_response(connection: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await base.read_response(connection, *args, **kwargs)
        except (MovedError, ClusterDownError):
            is_stale()
            raise

    pool.connection_class = type("ClusterConnection", (base,), {"read_response": read_response})
