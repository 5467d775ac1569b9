"""What a handler is: a function that pays one effect for a key, or for many at once, and what it may use."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Concatenate

from bson import ObjectId

from datasources.sources import Sources
from workers.rendering.pool import RenderPool


class RetryLater(Exception):
    """What the work waits for has not come: neither done nor failed; the sweeper rings again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What handlers work with; the media worker alone has pools, and another one for what takes long."""

    sources: Sources
    pool: RenderPool | None = None
    long_pool: RenderPool | None = None

    @property
    def for_what_takes_long(self) -> "Tools":
        """The tools of the lane of its own that such work has."""
        return replace(self, pool=self.long_pool or self.pool)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of the tools and a key, or up to `batch` keys, and the longest it may take, in seconds.

    It must be safe to run twice, also side by side, and says in its docstring why it is. It raises `NotYet` to be
    called again later; an outage of a dependency does the same; anything else counts as a failed attempt. One that
    leaves work for another call, so that others have their turn, returns the keys that may owe more. One that raises
    `TakesLong` is called again with tools for what takes long.

    `owners` tells whose work each of some keys is; then those who wait are served in rotation.

    What a call for many keys raises is nobody's attempt: each key is then tried alone.
    """

    run: Callable[Concatenate[Tools, ...], Awaitable[Collection[str] | None]]
    seconds: float = 60.0
    batch: int = 1
    owners: Callable[[Tools, Sequence[str]], Awaitable[Mapping[str, ObjectId]]] | None = None
