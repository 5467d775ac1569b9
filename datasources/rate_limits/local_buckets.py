"""The buckets of rate limits as this process knows them: what it has taken itself, and what Redis said last."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from domain.rate_limits import Limit

BUCKETS_MAX = 20_000  # those used last; one takes some 200 bytes


class Want(NamedTuple):
    """How much is to be taken from the bucket of a key: at least `least`, better `most`; less than 0 gives back."""

    key: str
    limit: Limit
    least: int
    most: int


class LocalBuckets:
    """Takes from buckets without asking anybody. A bucket that is not known is full."""

    def __init__(self, limit: int = BUCKETS_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()  # when each bucket is full; the one used last is last

    def __len__(self) -> int:
        return len(self._full_at)

    def backlog(self, key: str) -> float:
        """Seconds until the bucket is full."""
        full_at = self._full_at.get(key)
        return 0.0 if full_at is None else max(0.0, full_at - self._clock())

    def available(self, want: Want) -> int:
        """How many can be taken from the bucket now."""
        return want.limit.available(self.backlog(want.key))

    def take(self, key: str, limit: Limit, count: int) -> None:
        """Takes so many, whether they are there or not; less than 0 gives back."""
        self._set(key, min(self.backlog(key), limit.seconds) + count * limit.interval)

    def learn(self, key: str, backlog: float) -> None:
        """Makes the bucket at most as full as one that is full after `backlog` seconds."""
        if backlog > self.backlog(key):
            self._set(key, backlog)

    def _set(self, key: str, backlog: float) -> None:
        if backlog <= 0:
            self._full_at.pop(key, None)
            return
        self._full_at[key] = self._clock() + backlog
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._limit:
            self._full_at.popitem(last=False)
