"""Which Redis server holds a key: the only one, or one of the masters of a cluster.

A cluster is used as so many single servers, each with a client of its own. So one that is away delays nothing of the
others (docs/adr/0018-redis-clusters.md).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from datasources.concurrency.tasks import cancel_tasks, keep_running
from datasources.redis.addresses import Kind, RedisAddress
from datasources.redis.client import open_client, open_sentinel_client
from datasources.redis.cluster import ClusterServers, Moved


class OneServer:
    """One server, or the master that sentinels name."""

    is_cluster = False

    def __init__(self, redis: Redis, sentinel: Sentinel | None = None) -> None:
        self._redis = redis
        self._sentinel = sentinel

    @property
    def all(self) -> Sequence[Redis]:
        """The client of every server."""
        return (self._redis,)

    def of(self, key: str) -> Redis:  # noqa: ARG002  the same for each
        """The client of the server that holds a key. Raises ConnectionError if it is not known."""
        return self._redis

    def on_open(self, opened: Callable[[Redis], None]) -> None:
        """Calls `opened` with every client, present and future, before it has a connection."""
        opened(self._redis)

    def on_change(self, changed: Callable[[Moved], None]) -> None:
        """Calls `changed` whenever keys have moved between servers, with what tells whether a key has."""

    async def refresh(self) -> None:
        """Looks who holds what, for half a second at most for each node asked. Never raises."""

    async def keep_refreshing(self) -> None:
        """Follows the servers' changes, until cancelled."""

    async def ping(self) -> None:
        """Raises RedisError or OSError if a server does not answer."""
        await self._redis.ping()

    async def aclose(self) -> None:
        await self._redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


RedisServers = OneServer | ClusterServers


def make_servers(url: str, *, seconds: float, wait: float) -> RedisServers:
    """The servers at an address of any kind; `seconds` and `wait` as for `open_client`. Connects on first use."""
    address = RedisAddress.parse(url)
    if address.kind is Kind.CLUSTER:
        return ClusterServers(
            address.hosts, lambda host: open_client(address.one, seconds=seconds, wait=wait, host=host)
        )
    if address.kind is Kind.SENTINEL:
        return OneServer(*open_sentinel_client(address, seconds=seconds, wait=wait))
    return OneServer(open_client(url, seconds=seconds, wait=wait))


@contextlib.asynccontextmanager
async def following(servers: RedisServers) -> AsyncIterator[None]:
    """Looks who holds what at once, and follows changes during the block."""
    if not servers.is_cluster:
        yield
        return
    await servers.refresh()
    task = asyncio.create_task(keep_running("redis cluster", servers.keep_refreshing), name="redis cluster")
    try:
        yield
    finally:
        await cancel_tasks([task])
