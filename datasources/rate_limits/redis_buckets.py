"""The buckets of rate limits in Redis, which all processes share: one script takes from several at once, or from none.

A bucket is a number: the time, by the server's clock, at which it is full again (GCRA's theoretical arrival time). A
key expires when its bucket is full.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import NoScriptError, RedisError

from datasources.rate_limits.local_buckets import Want
from datasources.redis.servers import RedisServers

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.25  # the longest that a request waits for Redis
BACKOFF_SECONDS = 1.0  # after a failure nobody asks Redis for so long
GIVEN_BACK_AT_ONCE = 500  # buckets in one script

# Arguments for each key: microseconds that restore one, the maximum, how many at least, how many at most. Answers for
# each key: how many were taken, -1 where there are too few, and the microseconds until the bucket is full. A backlog
# longer than the limit allows comes from a clock that went back or a limit that was lowered: it is cut.
_TAKE = """local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken, full_at, is_refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local interval, maximum = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local least, most = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local known = tonumber(redis.call('GET', key) or now)
  full_at[i] = math.min(math.max(known, now), now + maximum * interval)
  local available = math.floor(maximum - (full_at[i] - now) / interval + 0.000001)
  taken[i] = math.min(most, available)
  if taken[i] < least then taken[i] = -1; is_refused = true end
end
local answers = {}
for i, key in ipairs(KEYS) do
  if is_refused then
    if taken[i] ~= -1 then taken[i] = 0 end
  else
    full_at[i] = full_at[i] + taken[i] * tonumber(ARGV[4 * i - 3])
    local left = math.ceil((full_at[i] - now) / 1000)
    if left > 0 then redis.call('SET', key, string.format('%.0f', full_at[i]), 'PX', left)
    else redis.call('DEL', key) end
  end
  answers[2 * i - 1] = taken[i]
  answers[2 * i] = math.floor(full_at[i] - now)
end
return answers"""
_TAKE_SHA = hashlib.sha1(_TAKE.encode(), usedforsecurity=False).hexdigest()


class RedisDown(Exception):
    """Redis did not answer in time, or is not asked at the moment."""


class Taken(NamedTuple):
    """What a bucket answered: how many were taken, whether it had too few, and the seconds until it is full."""

    number: int
    is_short: bool
    backlog: float


class RedisBuckets:
    """Takes from the buckets in Redis. In a cluster each slot is asked by itself, all side by side."""

    def __init__(self, servers: RedisServers, prefix: str) -> None:
        self._servers = servers
        self._prefix = f"{prefix}rate:"
        self._down_until = 0.0
        self._is_down = False

    async def take(self, wants: Sequence[Want]) -> list[Taken]:
        """Takes from all buckets or, if one has too few, from none. Raises RedisDown within `ANSWER_SECONDS`."""
        taken = await self._ask(wants)
        if any(each.is_short for each in taken) and any(each.number for each in taken):  # of other slots
            with contextlib.suppress(RedisDown):
                await self._ask(
                    [
                        want._replace(least=-each.number, most=-each.number)
                        for want, each in zip(wants, taken, strict=True)
                        if each.number
                    ]
                )
            taken = [each._replace(number=0) for each in taken]
        return taken

    async def give_back(self, wants: Sequence[Want]) -> None:
        """Gives back to buckets, each by itself. Raises RedisDown; nobody knows then what was given back."""
        for start in range(0, len(wants), GIVEN_BACK_AT_ONCE):
            await self._ask(wants[start : start + GIVEN_BACK_AT_ONCE])

    async def _ask(self, wants: Sequence[Want]) -> list[Taken]:
        if time.monotonic() < self._down_until:
            raise RedisDown
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answers = await self._evaluate(wants)
        except (RedisError, OSError, TimeoutError) as error:
            self._down_until = time.monotonic() + BACKOFF_SECONDS
            if not self._is_down:
                log.warning("rate_limits.redis_away", error=type(error).__name__)
            self._is_down = True
            raise RedisDown from error
        self._is_down = False
        return answers

    async def _evaluate(self, wants: Sequence[Want]) -> list[Taken]:
        groups: dict[tuple[Redis, int], list[int]] = defaultdict(list)
        for place, want in enumerate(wants):
            key = self._prefix + want.key
            slot = key_slot(key.encode()) if self._servers.is_cluster else 0
            groups[self._servers.of(key), slot].append(place)
        if len(groups) == 1:
            ((redis, _),) = groups
            return await self._run(redis, wants)
        answers = await asyncio.gather(
            *(self._run(redis, [wants[place] for place in places]) for (redis, _), places in groups.items())
        )
        by_place = {
            place: answer
            for places, group in zip(groups.values(), answers, strict=True)
            for place, answer in zip(places, group, strict=True)
        }
        return [by_place[place] for place in range(len(wants))]

    async def _run(self, redis: Redis, wants: Sequence[Want]) -> list[Taken]:
        keys = [self._prefix + want.key for want in wants]
        numbers = [
            number
            for want in wants
            for number in (repr(want.limit.interval * 1e6), want.limit.maximum, want.least, want.most)
        ]
        answer: Any = redis.evalsha(_TAKE_SHA, len(keys), *keys, *numbers)
        try:
            values: list[int] = await answer
        except NoScriptError:  # a new server, or one that was started again
            answer = redis.eval(_TAKE, len(keys), *keys, *numbers)
            values = await answer
        pairs = zip(values[::2], values[1::2], strict=True)
        return [
            Taken(0 if is_short else count, is_short, microseconds / 1e6)
            for want, (count, microseconds) in zip(wants, pairs, strict=True)
            for is_short in (count == -1 and want.least >= 0,)
        ]
