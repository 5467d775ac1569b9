"""Requests that were refused before they cost points: what does not parse or validate, and bad tokens.

Counted in this process alone, so that a flood of them costs neither Redis nor MongoDB anything.
"""

from collections.abc import Hashable

from datasources.rate_limits.local_buckets import LocalBuckets, Want
from datasources.rate_limits.points import REFUSED
from domain.rate_limits import REFUSED_REQUESTS, REFUSED_REQUESTS_OF_TOKEN, Limit, RateLimited, RateLimits


class RefusedRequests:
    """How many each source has sent; one for a process. It keeps buckets of its own: they push out no others.

    A source is the name of an address, which many may share, or of an account's devices; or the hash of a token.
    """

    def __init__(self, limits: RateLimits | None = None) -> None:
        """Without limits nothing is counted."""
        self._limits = limits
        self._buckets = LocalBuckets()

    def check(self, source: Hashable) -> None:
        """Raises RateLimited if this source has sent too many: nothing more of it is read for some time."""
        if self._limits is None or not len(self._buckets):
            return
        name, limit = _limit(self._limits, source)
        want = Want(str(source), limit, 1, 1)
        if self._buckets.available(want) < 1:
            REFUSED.add(name)
            raise RateLimited(limit.wait(self._buckets.backlog(want.key), 1))

    def count(self, source: Hashable) -> None:
        """Counts a request of this source."""
        if self._limits is not None:
            self._buckets.take(str(source), _limit(self._limits, source)[1], 1)


def _limit(limits: RateLimits, source: Hashable) -> tuple[str, Limit]:
    name = REFUSED_REQUESTS if isinstance(source, str) else REFUSED_REQUESTS_OF_TOKEN
    return name, limits.of(name)
