"""Redis as the caches need it: short and bounded, silent while it is away, and told in the end what to forget."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.concurrency.tasks import cancelled
from datasources.redis.server_run import MARK_BYTES, RedisRun

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.25  # a reader or a mutation waits no longer than this for Redis
SILENCE_SECONDS = 1.0  # for so long nobody asks again after it did not answer
PATIENCE_SECONDS = 5.0  # a worker that must not go on without Redis waits so long
LEASE_SECONDS = 3.0  # who has not filled a key by then may not fill it
LONGEST_SECONDS = 70.0  # no value is kept for longer, its lease's time included, so no forgetting is owed for longer
MAX_BATCH = 16  # callers whose keys go in one command
MOST = 1_000  # keys forgotten by one command

# Of one key each, so that a cluster can run it. Arguments: the lease, the value, and its milliseconds.
_FILL = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end"


class CacheDown(RedisError):
    """Redis does not answer in time, or is not asked for the moment."""


class CacheServer:
    """What the caches of one process do in Redis, under the keys that begin with `prefix`.

    What is stored begins with the mark of the server's run. What an earlier run left is taken away where it is met:
    writes that it lost may have been forgettings. Give it a client that has no connection yet.

    `get`, `lease` and `fill` raise CacheDown, within `ANSWER_SECONDS` or at once. With `reads` false they always do,
    and only forgetting goes on, for the sake of processes that read.
    """

    def __init__(self, redis: Redis, prefix: str, *, reads: bool = True) -> None:
        self.prefix = f"{prefix}cache:"
        self._redis = redis
        self._run = RedisRun(redis)
        self._reads = reads
        self._gets: Batcher[Sequence[str], list[bytes | None]] = Batcher(self._get, MAX_BATCH)
        self._invalidations: Batcher[Sequence[str], bool] = Batcher(self._invalidate, MAX_BATCH)
        self._silent_until = 0.0
        self._unread_until = 0.0  # what it holds may not be believed
        self._is_down = False
        self._pending: dict[str, float] = {}  # what could not be forgotten, and until when that matters
        self._paying: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """What the keys hold; those who ask at the same time ask together."""
        self._expect_answers()
        try:
            return await self._gets.submit(keys, ANSWER_SECONDS)
        except BatchTimeout as error:
            raise CacheDown from error

    async def lease(self, keys: Sequence[str], token: bytes) -> tuple[bytes, list[bytes | None]]:
        """Puts a lease where a key holds nothing: None is then what it held before.

        Returns the lease, which is the token and the run it is good for, and what each key held, which is empty if it
        may not be believed.
        """
        self._expect_answers()
        run = self._run.mark
        if run is None:
            raise CacheDown
        lease = run + token
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, lease, nx=True, get=True, px=_milliseconds(LEASE_SECONDS))
        held = await self._answer(pipeline.execute)
        return lease, [one and (one[MARK_BYTES:] if one.startswith(run) else b"") for one in held]

    async def fill(self, values: Iterable[tuple[str, bytes, float]], lease: bytes) -> None:
        """Stores each value, for so many seconds, if its key still holds the lease."""
        self._expect_answers()
        run = lease[:MARK_BYTES]  # not today's: what was read under the lease may be older
        pipeline = self._redis.pipeline(transaction=False)
        for key, value, seconds in values:
            pipeline.eval(_FILL, 1, key, lease, run + value, _milliseconds(seconds))
        await self._answer(pipeline.execute)

    async def invalidate(self, keys: Sequence[str]) -> bool:
        """Takes values and leases away. Never raises.

        False if Redis did not answer: then it is told again every second until it does, or until all it could still
        hold has expired; meanwhile nothing is read here, so that this process at least sees what it wrote.
        """
        try:
            return await self._invalidations.submit(keys, ANSWER_SECONDS)
        except BatchTimeout:
            self._add_pending(keys)
            return False

    async def must_invalidate(self, keys: Sequence[str]) -> None:
        """As `forget`, and waits for Redis if need be. Raises CacheDown, an outage, after `PATIENCE_SECONDS`."""
        if not await self.invalidate(keys) and self._paying is not None:
            await asyncio.wait({self._paying}, timeout=PATIENCE_SECONDS)
            if not self._pending.keys().isdisjoint(keys):
                raise CacheDown("what is cached could not be forgotten")

    async def aclose(self) -> None:
        """Ends the telling."""
        if self._paying is not None:
            await cancelled([self._paying])

    async def _get(self, asked: Sequence[Sequence[str]]) -> list[list[bytes | None]]:
        self._expect_answers()
        keys = list(dict.fromkeys(key for some in asked for key in some))
        held = dict(zip(keys, await self._answer(lambda: self._redis.mget(keys)), strict=True))
        run = self._run.mark
        if run is None:
            self._unread_until = time.monotonic() + SILENCE_SECONDS
            await self._run.leave()  # to ask it again then
            raise CacheDown
        found = {key: one[MARK_BYTES:] for key, one in held.items() if one is not None and one.startswith(run)}
        if old := [key for key, one in held.items() if one is not None and key not in found]:
            await self._answer(partial(self._redis.unlink, *old))
        return [[found.get(key) for key in some] for some in asked]

    async def _invalidate(self, asked: Sequence[Sequence[str]]) -> list[bool]:
        keys = list(dict.fromkeys(key for some in asked for key in some))
        is_told = not self._is_silent and await self._tell(keys)
        if not is_told:
            self._add_pending(keys)
        return [is_told] * len(asked)

    async def _tell(self, keys: Sequence[str]) -> bool:
        try:
            for start in range(0, len(keys), MOST):
                await self._answer(partial(self._redis.unlink, *keys[start : start + MOST]))
        except CacheDown:
            return False
        return True

    def _add_pending(self, keys: Iterable[str]) -> None:
        self._pending.update(dict.fromkeys(keys, time.monotonic() + LONGEST_SECONDS))
        if self._paying is None or self._paying.done():
            self._paying = asyncio.create_task(self._flush_pending(), name="cache")

    async def _flush_pending(self) -> None:
        while self._pending:
            await asyncio.sleep(SILENCE_SECONDS)
            now = time.monotonic()
            self._pending = {key: until for key, until in self._pending.items() if until > now}
            notified = dict(self._pending)
            if await self._tell(list(notified)):  # what has been owed anew since then was written since then
                self._pending = {key: until for key, until in self._pending.items() if notified.get(key) != until}

    @property
    def _is_silent(self) -> bool:
        return bool(self._pending) or time.monotonic() < self._silent_until

    def _expect_answers(self) -> None:
        if not self._reads or self._is_silent or time.monotonic() < self._unread_until:
            raise CacheDown

    async def _answer(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What one run of the server answers. Raises CacheDown, also if another run has begun meanwhile."""
        run = self._run.mark
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await ask()
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ReadOnlyError):  # a replica by now: the master is elsewhere
                await self._run.leave()
            self._silent_until = time.monotonic() + SILENCE_SECONDS
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


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
