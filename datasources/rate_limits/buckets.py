"""Buckets of rate limits: those of this process first, then those in Redis, so that both must have enough.

What this process takes counts here too. So while Redis is away, and after it has lost its data, each process still
holds every limit by itself; and a client that is over a limit is refused without asking Redis
(docs/adr/0027-rate-limits.md).
"""

from collections.abc import Sequence

from datasources.rate_limits.local_buckets import LocalBuckets, Want
from datasources.rate_limits.redis_buckets import RedisBuckets, RedisDown, Taken


class Buckets:
    """Takes from several buckets at once, or from none."""

    def __init__(self, redis: RedisBuckets, local: LocalBuckets | None = None) -> None:
        self._redis = redis
        self._local = LocalBuckets() if local is None else local

    async def take(self, wants: Sequence[Want]) -> list[Taken]:
        """Takes from all buckets, or from none if one `is_short`. Never raises; takes a quarter of a second at most."""
        here = self._take_here(wants)
        if any(each.is_short for each in here):
            return here
        asked = [want._replace(most=each.number) for want, each in zip(wants, here, strict=True)]
        try:
            taken = await self._redis.take(asked)
        except RedisDown:
            return here
        for want, reserved, each in zip(wants, here, taken, strict=True):
            self._local.take(want.key, want.limit, each.number - reserved.number)
            self._local.learn(want.key, each.backlog)
        return taken

    async def give_back(self, wants: Sequence[Want]) -> None:
        """Gives back what was taken and not used. Never raises: what Redis does not get is restored by time."""
        for want in wants:
            self._local.take(want.key, want.limit, want.most)
        try:
            await self._redis.give_back(wants)
        except RedisDown:
            return

    def _take_here(self, wants: Sequence[Want]) -> list[Taken]:
        """Takes from this process's buckets at once, so that of concurrent requests only as many pass as may."""
        available = [self._local.available(want) for want in wants]
        is_refused = any(number < want.least for want, number in zip(wants, available, strict=True))
        taken = []
        for want, number in zip(wants, available, strict=True):
            count = 0 if is_refused else min(want.most, number)
            if count:
                self._local.take(want.key, want.limit, count)
            taken.append(Taken(count, number < want.least, self._local.backlog(want.key)))
        return taken
