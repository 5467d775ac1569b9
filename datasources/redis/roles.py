"""What Redis is used for: caches, the job queue and news. Each may have servers of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from config import Settings
from datasources.redis.servers import RedisServers, following, make_servers


class RedisRoles(NamedTuple):
    """The servers of each use, which may be the same."""

    cache: RedisServers
    queue: RedisServers
    news: RedisServers

    async def ping(self) -> None:
        """Raises RedisError or OSError if one of the servers does not answer."""
        await asyncio.gather(*(servers.ping() for servers in set(self)))

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Finds the servers of clusters at once, and follows their changes during the block."""
        async with contextlib.AsyncExitStack() as stack:
            for servers in set(self):
                await stack.enter_async_context(following(servers))
            yield

    async def aclose(self) -> None:
        await asyncio.gather(*(servers.aclose() for servers in set(self)))


def open_roles(settings: Settings) -> RedisRoles:
    """The servers that the settings name. Connections are made on first use."""
    urls = settings.redis_urls
    servers = {url: _open(settings, url, settings.redis_timeout) for url in set(urls)}
    return RedisRoles(*(servers[url] for url in urls))


def open_queue_servers(settings: Settings, seconds: float) -> RedisServers:
    """The job queue's servers once more, for commands that may take `seconds`."""
    return _open(settings, settings.redis_urls.queue, seconds)


def _open(settings: Settings, url: str, seconds: float) -> RedisServers:
    return make_servers(url, seconds=seconds, wait=settings.redis_timeout)
