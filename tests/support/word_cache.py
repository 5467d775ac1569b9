"""A cache of words, as several processes share one, and the source that it reads them from."""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis

from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache
from datasources.redis.servers import make_servers


class Words:
    """The source of the values: words that change, and the keys that were asked for, in order."""

    def __init__(self, **words: str) -> None:
        self.words: dict[str, str] = words
        self.asked: list[str] = []
        self.reading = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, keys: Sequence[str]) -> Sequence[str | None]:
        values = [self.words.get(key) for key in keys]
        self.asked += keys
        self.reading.set()
        await self.may_answer.wait()  # it has read, and answers late
        return values


class WordCache:
    """The cache of one process. All processes use the same keys."""

    def __init__(self, url: str, prefix: str, shape: object = str | None, seconds: float = 30.0) -> None:
        self.redis_servers = make_servers(url, seconds=5.0, wait=5.0)
        self.servers = CacheServers(self.redis_servers, prefix)
        self.cache: Cache[str, str | None] = Cache(self.servers, "word", shape, seconds)

    @property
    def redis(self) -> Redis:
        """The server, where there is one."""
        (redis,) = self.redis_servers.all
        return redis

    async def read(self, words: Words, *keys: str) -> list[str | None]:
        return await self.cache.read(keys, words)

    async def aclose(self) -> None:
        await self.servers.aclose()
        await self.redis_servers.aclose()
