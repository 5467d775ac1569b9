"""Requests that were refused before they cost points: what does not parse or validate, and bad tokens.

Counted in this process alone, so that a flood of them costs neither Redis nor MongoDB anything.
"""

from collections.abc import Hashable

from datasources.rate_limits.local_buckets import LocalBuckets, Want
from datasources.rate_limits.points import REFUSED
from domain.rate_limits import REFUSED_REQUESTS, Limit, RateLimited


class RefusedRequests:
    """How many each source has sent; one for a process. It keeps buckets of its own: they push out no others."""

    def __init__(self, limit: Limit | None = None) -> None:
        """Without a limit nothing is counted."""
        self._limit = limit
        self._buckets = LocalBuckets()

    def check(self, source: Hashable) -> None:
        """Raises RateLimited if this source has sent too many: nothing more of it is read for some time."""
        if self._limit is None or not len(self._buckets):
            return
        want = Want(str(source), self._limit, 1, 1)
        if self._buckets.available(want) < 1:
            REFUSED.add(REFUSED_REQUESTS)
            raise RateLimited(self._limit.wait(self._buckets.backlog(want.key), 1))

    def count(self, source: Hashable) -> None:
        """Counts a request of this source."""
        if self._limit is not None:
            self._buckets.take(str(source), self._limit, 1)
