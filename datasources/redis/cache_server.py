"""One Redis server as caches need it: waited for briefly, left alone while it is away, and told of invalidations."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import AskError, ReadOnlyError, RedisError, TryAgainError

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.redis.server_run import MARK_BYTES, RedisRun

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.25  # the longest that a reader or a mutation waits for Redis
BACKOFF_SECONDS = 1.0  # after a failure nobody asks Redis for so long
LOAD_LEASE_SECONDS = 3.0  # a loader that takes longer may not store its value
MAX_BATCH = 16  # callers whose keys go in one command
MAX_KEYS = 1_000  # in one command that writes

# Puts a lease into keys that hold nothing; returns what each held. Arguments: the lease, and its milliseconds.
_LEASE = """local held = {}
for i, key in ipairs(KEYS) do held[i] = redis.call('SET', key, ARGV[1], 'NX', 'GET', 'PX', ARGV[2]) end
return held"""
# Stores values where the lease is held. Arguments: the lease, then for each key its value and milliseconds.
_FILL = """for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('SET', key, ARGV[2 * i], 'PX', ARGV[2 * i + 1]) end
end"""
_ELSEWHERE = AskError, TryAgainError  # MovedError too, which is an AskError


class CacheDown(RedisError):
    """Redis did not answer in time, or is not asked at the moment."""


class CacheServer:
    """What the caches of one process do in one server, under the full names of keys.

    Each stored value begins with the mark of the server's run. Values of another run are removed where they are met:
    an earlier run may have lost invalidations, and so may the master that this server took over from, or the server
    that its slots were moved from. Needs a client that has no connection yet.

    `get`, `lease` and `fill` raise CacheDown, within `ANSWER_SECONDS`. `failed` gets keys that could not be unlinked.
    """

    def __init__(self, redis: Redis, failed: Callable[[Iterable[str]], None], *, is_in_cluster: bool) -> None:
        self._redis = redis
        self._failed = failed
        self._is_in_cluster = is_in_cluster
        self._run = RedisRun(redis)
        self._gets: Batcher[Sequence[str], list[bytes | None]] = Batcher(self._get, MAX_BATCH)
        self._unlinks: Batcher[Sequence[str], bool] = Batcher(self._unlink_batch, MAX_BATCH)
        self._down_until = 0.0
        self._unreadable_until = 0.0  # the server's run is not known, so its values cannot be trusted
        self._is_down = False

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
        lease, held = run + token, dict[str, bytes | None]()
        groups, pipeline = self._groups(keys), self._redis.pipeline(transaction=False)
        for group in groups:
            pipeline.eval(_LEASE, len(group), *group, lease, _milliseconds(LOAD_LEASE_SECONDS))
        for group, values in zip(groups, await self._answer(pipeline.execute), strict=True):
            held.update(zip(group, values, strict=True))
        found = [held[key] for key in keys]
        return lease, [value and (value[MARK_BYTES:] if value.startswith(run) else b"") for value in found]

    async def fill(self, values: Iterable[tuple[str, bytes, float]], lease: bytes) -> None:
        """Stores each value under its key, for so many seconds, if the key still holds the lease."""
        self._expect_readable()
        run = lease[:MARK_BYTES]  # not the present run's: what was loaded under the lease may be older
        arguments: dict[str, tuple[bytes, int]] = {
            key: (run + value, _milliseconds(seconds)) for key, value, seconds in values
        }
        pipeline = self._redis.pipeline(transaction=False)
        for group in self._groups(arguments):
            pipeline.eval(_FILL, len(group), *group, lease, *(each for key in group for each in arguments[key]))
        await self._answer(pipeline.execute)

    async def unlink(self, keys: Sequence[str]) -> bool:
        """Removes values and leases. Never raises. False if Redis did not answer; then `failed` has got the keys."""
        try:
            return await self._unlinks.submit(keys, ANSWER_SECONDS)
        except BatchTimeout:
            self._failed(keys)
            return False

    async def unlink_again(self, keys: Sequence[str]) -> bool:
        """As `unlink`, also while the server is left alone after a failure; `failed` is not called."""
        try:
            for start in range(0, len(keys), MAX_KEYS):
                await self._answer(partial(self._unlink, keys[start : start + MAX_KEYS]))
        except CacheDown:
            return False
        return True

    async def _get(self, batch: Sequence[Sequence[str]]) -> list[list[bytes | None]]:
        self._expect_readable()
        keys = batch[0] if len(batch) == 1 else _distinct(batch)
        answers: list[bytes | None] = await self._answer(lambda: self._mget(keys))
        run = self._run.mark
        if run is None:
            self._unreadable_until = time.monotonic() + BACKOFF_SECONDS
            await self._run.reconnect()  # so that the next command asks for the run again
            raise CacheDown
        old = [key for key, value in zip(keys, answers, strict=True) if value is not None and not value.startswith(run)]
        if old:
            await self._answer(lambda: self._unlink(old))
        values = [value[MARK_BYTES:] if value is not None and value.startswith(run) else None for value in answers]
        if len(batch) == 1:
            return [values]
        held = dict(zip(keys, values, strict=True))
        return [[held[key] for key in keys] for keys in batch]

    async def _unlink_batch(self, batch: Sequence[Sequence[str]]) -> list[bool]:
        keys = _distinct(batch)
        is_done = time.monotonic() >= self._down_until and await self.unlink_again(keys)
        if not is_done:
            self._failed(keys)
        return [is_done] * len(batch)

    # A cluster takes several keys in one command only if they are in one slot.

    async def _mget(self, keys: Sequence[str]) -> Any:
        if not self._is_in_cluster:
            return await self._redis.mget(keys)
        groups = _by_slot(keys)
        pipeline = self._redis.pipeline(transaction=False)
        for group in groups:
            pipeline.mget(group)
        answers = dict[str, bytes | None]()
        for group, values in zip(groups, await pipeline.execute(), strict=True):
            answers.update(zip(group, values, strict=True))
        return [answers[key] for key in keys]

    async def _unlink(self, keys: Sequence[str]) -> Any:
        if not self._is_in_cluster:
            return await self._redis.unlink(*keys)
        pipeline = self._redis.pipeline(transaction=False)
        for group in _by_slot(keys):
            pipeline.unlink(*group)
        return await pipeline.execute()

    def _groups(self, keys: Iterable[str]) -> list[list[str]]:
        """The keys as they may go into one script each, `MAX_KEYS` at most."""
        groups = _by_slot(keys) if self._is_in_cluster else [list(keys)]
        return [group[start : start + MAX_KEYS] for group in groups for start in range(0, len(group), MAX_KEYS)]

    def _expect_readable(self) -> None:
        if time.monotonic() < max(self._down_until, self._unreadable_until):
            raise CacheDown

    async def _answer(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of one run of the server. Raises CacheDown, also if another run began meanwhile."""
        run = self._run.mark
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await command()
        except _ELSEWHERE as error:  # some of the keys: the server answers, and is asked for others
            raise CacheDown from error
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


def _by_slot(keys: Iterable[str]) -> list[list[str]]:
    slots = defaultdict[int, list[str]](list)
    for key in keys:
        slots[key_slot(key.encode())].append(key)
    return list(slots.values())


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
