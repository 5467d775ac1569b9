"""The servers of the caches: finds the server of each key, and makes good every invalidation that failed."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from datasources.concurrency.tasks import cancel_tasks
from datasources.redis import cache_server
from datasources.redis.cache_server import CacheDown, CacheServer
from datasources.redis.cluster import Moved
from datasources.redis.servers import RedisServers

MUST_INVALIDATE_SECONDS = 5.0  # the longest that a worker waits which must not go on without Redis
MAX_LIFE_SECONDS = 70.0  # of any value, its loader's lease included: after that an invalidation is not needed

Lease = Mapping[CacheServer, bytes]
"""What a loader's keys hold, by their server."""


class CacheServers:
    """What the caches of one process do in Redis, under keys that begin with `prefix`.

    Needs servers whose clients have no connection yet. With `reads` false, `get` always raises CacheDown, and the
    process only invalidates, for the processes that read.
    """

    def __init__(self, servers: RedisServers, prefix: str, *, reads: bool = True) -> None:
        self.prefix = f"{prefix}cache:"
        self.reads_at_one_moment = not servers.is_cluster
        """Whether all keys of one `get` are read at the same moment."""
        self._servers = servers
        self._reads = reads
        self._caches: dict[Redis, CacheServer] = {}
        self._pending: dict[str, float] = {}  # keys still to be invalidated, and when their values have expired anyway
        self._is_closed = False
        self._flushing: asyncio.Task[None] | None = None
        servers.on_open(self._add)
        servers.on_change(self._remove_gone)
        self._only = None if servers.is_cluster else self._caches[servers.all[0]]

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """What the keys hold: None for nothing, an empty value for what cannot be read or trusted.

        Raises CacheDown if none of them can be read.
        """
        if not self._reads:
            raise CacheDown
        if self._only is not None and not self._pending:
            return await self._only.get(keys)
        held: dict[str, bytes | None] = {}
        parts = self._readable(keys)
        answers = await asyncio.gather(*(_get(cache, part) for cache, part in parts.items()))
        for part, values in zip(parts.values(), answers, strict=True):
            if values is not None:
                held.update(zip(part, values, strict=True))
        if not held:
            raise CacheDown
        return [held.get(key, b"") for key in keys]

    async def lease(self, keys: Sequence[str], token: bytes) -> tuple[Lease, list[bytes | None]]:
        """Puts a lease into each key that holds nothing, atomically for each key.

        Returns the lease and what each key held before: None for nothing, an empty value for what cannot be leased or
        trusted.
        """
        held: dict[str, bytes | None] = {}
        leases: dict[CacheServer, bytes] = {}
        parts = self._readable(keys)
        answers = await asyncio.gather(*(_lease(cache, part, token) for cache, part in parts.items()))
        for (cache, part), answer in zip(parts.items(), answers, strict=True):
            if answer is not None:
                leases[cache] = answer[0]
                held.update(zip(part, answer[1], strict=True))
        return leases, [held.get(key, b"") for key in keys]

    async def fill(self, values: Iterable[tuple[str, bytes, float]], lease: Lease) -> None:
        """Stores each value under its key, for so many seconds, if the key still holds the lease. Never raises."""
        by_key = {value[0]: value for value in values}
        parts = self._readable(by_key)
        await asyncio.gather(
            *(
                _fill(cache, [by_key[key] for key in part], lease[cache])
                for cache, part in parts.items()
                if cache in lease
            )
        )

    async def invalidate(self, keys: Sequence[str]) -> bool:
        """Removes values and leases. Never raises.

        False if a server did not answer. Then it is tried again every second, until the keys' server answers or all
        values that it could still hold have expired. Until then this process reads these keys from no cache, so it sees
        its own writes.
        """
        if self._is_closed:
            return False
        if self._only is not None:
            return await self._only.unlink(keys)
        parts = self._by_server(keys)
        # Tasks, because these go on if the caller is cancelled: its write was done.
        unlinks = [asyncio.create_task(cache.unlink(part), name="invalidate") for cache, part in parts.items()]
        known = {key for part in parts.values() for key in part}
        unknown = [key for key in keys if key not in known]
        if unknown:
            self._add_pending(unknown)
        if unlinks:
            await asyncio.wait(unlinks)
        return not unknown and all(unlink.result() for unlink in unlinks)

    async def must_invalidate(self, keys: Sequence[str]) -> None:
        """As `invalidate`, but waits for Redis. Raises CacheDown after `MUST_INVALIDATE_SECONDS`."""
        if self._is_closed:
            raise CacheDown("the caches are closed")
        if not await self.invalidate(keys) and self._flushing is not None:
            await asyncio.wait({self._flushing}, timeout=MUST_INVALIDATE_SECONDS)
            if not self._pending.keys().isdisjoint(keys):
                raise CacheDown("cached values could not be invalidated")

    async def aclose(self) -> None:
        """Gives up pending invalidations, and those of writes that end later: their callers have gone."""
        self._is_closed = True
        if self._flushing is not None:
            await cancel_tasks([self._flushing])

    def _add(self, redis: Redis) -> None:
        self._caches[redis] = CacheServer(redis, self._add_pending, is_in_cluster=self._servers.is_cluster)

    def _remove_gone(self, _moved: Moved) -> None:
        for redis in self._caches.keys() - set(self._servers.all):
            del self._caches[redis]

    def _by_server(self, keys: Iterable[str]) -> dict[CacheServer, list[str]]:
        """The keys whose server is known, by their server."""
        parts = defaultdict[CacheServer, list[str]](list)
        for key in keys:
            try:
                parts[self._caches[self._servers.of(key)]].append(key)
            except RedisConnectionError:
                continue
        return parts

    def _readable(self, keys: Iterable[str]) -> dict[CacheServer, list[str]]:
        """As `_by_server`, without the keys that are still to be invalidated."""
        return self._by_server(key for key in keys if key not in self._pending)

    def _add_pending(self, keys: Iterable[str]) -> None:
        if self._is_closed:
            return
        self._pending.update(dict.fromkeys(keys, time.monotonic() + MAX_LIFE_SECONDS))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_pending(), name="cache")

    async def _flush_pending(self) -> None:
        while self._pending:
            await asyncio.sleep(cache_server.BACKOFF_SECONDS)
            now = time.monotonic()
            self._pending = {key: until for key, until in self._pending.items() if until > now}
            before = dict(self._pending)
            parts = self._by_server(before)
            are_done = await asyncio.gather(*(cache.unlink_again(part) for cache, part in parts.items()))
            done = {key for part, is_done in zip(parts.values(), are_done, strict=True) if is_done for key in part}
            # A key that was added again meanwhile was also written again.
            self._pending = {
                key: until for key, until in self._pending.items() if key not in done or before[key] != until
            }


async def _get(cache: CacheServer, keys: Sequence[str]) -> list[bytes | None] | None:
    try:
        return await cache.get(keys)
    except CacheDown:
        return None


async def _lease(cache: CacheServer, keys: Sequence[str], token: bytes) -> tuple[bytes, list[bytes | None]] | None:
    try:
        return await cache.lease(keys, token)
    except CacheDown:
        return None


async def _fill(cache: CacheServer, values: Iterable[tuple[str, bytes, float]], lease: bytes) -> None:
    try:
        await cache.fill(values, lease)
    except CacheDown:
        return
