"""Redis as caches need it: waited for briefly, left alone while it is away, and told of every invalidation."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.concurrency.tasks import cancel_tasks
from datasources.redis.server_run import MARK_BYTES, RedisRun

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.25  # the longest that a reader or a mutation waits for Redis
BACKOFF_SECONDS = 1.0  # after a failure nobody asks Redis for so long
MUST_INVALIDATE_SECONDS = 5.0  # the longest that a worker waits which must not go on without Redis
LOAD_LEASE_SECONDS = 3.0  # a loader that takes longer may not store its value
MAX_LIFE_SECONDS = 70.0  # of any value, its loader's lease included: after that an invalidation is not needed
MAX_BATCH = 16  # callers whose keys go in one command
MAX_UNLINKED = 1_000  # keys in one command

# Each script touches one key, so that a cluster can run it. Arguments: the lease, the value, and its milliseconds.
_FILL = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end"


class CacheDown(RedisError):
    """Redis did not answer in time, or is not asked at the moment."""


class CacheServer:
    """What the caches of one process do in Redis, under keys that begin with `prefix`.

    Each stored value begins with the mark of the server's run. Values of an earlier run are removed where they are
    met, because that run may have lost invalidations. Needs a client that has no connection yet.

    `get`, `lease` and `fill` raise CacheDown, within `ANSWER_SECONDS`. With `reads` false they always raise it, and the
    process only invalidates, for the processes that read.
    """

    def __init__(self, redis: Redis, prefix: str, *, reads: bool = True) -> None:
        self.prefix = f"{prefix}cache:"
        self._redis = redis
        self._run = RedisRun(redis)
        self._reads = reads
        self._gets: Batcher[Sequence[str], list[bytes | None]] = Batcher(self._get, MAX_BATCH)
        self._invalidations: Batcher[Sequence[str], bool] = Batcher(self._invalidate, MAX_BATCH)
        self._down_until = 0.0
        self._unreadable_until = 0.0  # the server's run is not known, so its values cannot be trusted
        self._is_down = False
        self._pending: dict[str, float] = {}  # keys still to be invalidated, and when their values have expired anyway
        self._flushing: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """What the keys hold. Simultaneous callers share a command."""
        self._expect_readable()
        try:
            return await self._gets.submit(keys, ANSWER_SECONDS)
        except BatchTimeout as error:
            raise CacheDown from error

    async def lease(self, keys: Sequence[str], token: bytes) -> tuple[bytes, list[bytes | None]]:
        """Puts a lease into each key that holds nothing, atomically for each key.

        Returns the lease, which is the mark of the run and the token, and what each key held before: None for nothing,
        an empty value for one that cannot be trusted.
        """
        self._expect_readable()
        run = self._run.mark
        if run is None:
            raise CacheDown
        lease = run + token
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, lease, nx=True, get=True, px=_milliseconds(LOAD_LEASE_SECONDS))
        values = await self._answer(pipeline.execute)
        return lease, [value and (value[MARK_BYTES:] if value.startswith(run) else b"") for value in values]

    async def fill(self, values: Iterable[tuple[str, bytes, float]], lease: bytes) -> None:
        """Stores each value under its key, for so many seconds, if the key still holds the lease."""
        self._expect_readable()
        run = lease[:MARK_BYTES]  # not the present run's: what was loaded under the lease may be older
        pipeline = self._redis.pipeline(transaction=False)
        for key, value, seconds in values:
            pipeline.eval(_FILL, 1, key, lease, run + value, _milliseconds(seconds))
        await self._answer(pipeline.execute)

    async def invalidate(self, keys: Sequence[str]) -> bool:
        """Removes values and leases. Never raises.

        False if Redis did not answer. Then it is tried again every second, until Redis answers or all values that it
        could still hold have expired. Until then this process reads no cache, so it sees its own writes.
        """
        try:
            return await self._invalidations.submit(keys, ANSWER_SECONDS)
        except BatchTimeout:
            self._add_pending(keys)
            return False

    async def must_invalidate(self, keys: Sequence[str]) -> None:
        """As `invalidate`, but waits for Redis. Raises CacheDown after `MUST_INVALIDATE_SECONDS`."""
        if not await self.invalidate(keys) and self._flushing is not None:
            await asyncio.wait({self._flushing}, timeout=MUST_INVALIDATE_SECONDS)
            if not self._pending.keys().isdisjoint(keys):
                raise CacheDown("cached values could not be invalidated")

    async def aclose(self) -> None:
        """Gives up pending invalidations."""
        if self._flushing is not None:
            await cancel_tasks([self._flushing])

    async def _get(self, batch: Sequence[Sequence[str]]) -> list[list[bytes | None]]:
        self._expect_readable()
        keys = batch[0] if len(batch) == 1 else _distinct(batch)
        answers = await self._answer(lambda: self._redis.mget(keys))
        run = self._run.mark
        if run is None:
            self._unreadable_until = time.monotonic() + BACKOFF_SECONDS
            await self._run.reconnect()  # so that the next command asks for the run again
            raise CacheDown
        old = [key for key, value in zip(keys, answers, strict=True) if value is not None and not value.startswith(run)]
        if old:
            await self._answer(partial(self._redis.unlink, *old))
        values = [value[MARK_BYTES:] if value is not None and value.startswith(run) else None for value in answers]
        if len(batch) == 1:
            return [values]
        held = dict(zip(keys, values, strict=True))
        return [[held[key] for key in keys] for keys in batch]

    async def _invalidate(self, batch: Sequence[Sequence[str]]) -> list[bool]:
        keys = _distinct(batch)
        is_done = not self._is_backing_off and await self._unlink(keys)
        if not is_done:
            self._add_pending(keys)
        return [is_done] * len(batch)

    async def _unlink(self, keys: Sequence[str]) -> bool:
        try:
            for start in range(0, len(keys), MAX_UNLINKED):
                await self._answer(partial(self._redis.unlink, *keys[start : start + MAX_UNLINKED]))
        except CacheDown:
            return False
        return True

    def _add_pending(self, keys: Iterable[str]) -> None:
        self._pending.update(dict.fromkeys(keys, time.monotonic() + MAX_LIFE_SECONDS))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_pending(), name="cache")

    async def _flush_pending(self) -> None:
        while self._pending:
            await asyncio.sleep(BACKOFF_SECONDS)
            now = time.monotonic()
            self._pending = {key: until for key, until in self._pending.items() if until > now}
            flushed = dict(self._pending)
            if await self._unlink(list(flushed)):  # a key that was added again meanwhile was also written again
                self._pending = {key: until for key, until in self._pending.items() if flushed.get(key) != until}

    @property
    def _is_backing_off(self) -> bool:
        return bool(self._pending) or time.monotonic() < self._down_until

    def _expect_readable(self) -> None:
        if not self._reads or self._is_backing_off or time.monotonic() < self._unreadable_until:
            raise CacheDown

    async def _answer(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of one run of the server. Raises CacheDown, also if another run began meanwhile."""
        run = self._run.mark
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await command()
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ReadOnlyError):  # the server became a replica: the master is elsewhere
                await self._run.reconnect()
            self._down_until = time.monotonic() + BACKOFF_SECONDS
            if not self._is_down:
                log.warning("cache.down", error=type(error).__name__)
            self._is_down = True
            raise CacheDown from error
        if self._is_down:
            log.info("cache.up")
        self._is_down = False
        if run is not None and run != self._run.mark:
            raise CacheDown
        return answer


def _distinct(batch: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(key for keys in batch for key in keys))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
