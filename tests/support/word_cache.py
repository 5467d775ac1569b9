"""A cache of words, as several processes share one, and the source that it reads them from."""

import asyncio
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from datasources.redis.cache_server import CacheServer
from datasources.redis.read_through import Cache


class Words:
    """Where the values come from: words that change, and how often each was asked for."""

    def __init__(self, **words: str) -> None:
        self.words: dict[str, str] = words
        self.asked: list[str] = []
        self.reading = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, keys: Sequence[str]) -> Sequence[str | None]:
        found = [self.words.get(key) for key in keys]
        self.asked += keys
        self.reading.set()
        await self.may_answer.wait()  # it has read, and is slow to say so
        return found


class WordCache:
    """One process's cache of words, under the same keys as the others'."""

    def __init__(self, url: str, prefix: str, shape: object = str | None, seconds: float = 30.0) -> None:
        again = Retry(NoBackoff(), 1)
        self.redis = Redis.from_url(url, retry=again)
        self.server = CacheServer(self.redis, prefix)
        self.cache: Cache[str, str | None] = Cache(self.server, "word", shape, seconds)

    async def read(self, truth: Words, *keys: str) -> list[str | None]:
        return await self.cache.read(keys, truth)

    async def aclose(self) -> None:
        await self.server.aclose()
        await self.redis.aclose()
