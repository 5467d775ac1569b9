"""What a handler is: a function that pays one effect for a key, or for many at once, and what it may use."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Concatenate

from bson import ObjectId

from datasources.sources import Sources
from domain.jobs import JobSpec
from workers.rendering.pool import RenderPool


class RetryLater(Exception):
    """What the work waits for has not come: neither done nor failed; the sweeper rings again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What handlers work with; the media worker alone has pools, and another one for what takes long."""

    sources: Sources
    pool: RenderPool | None = None
    slow_pool: RenderPool | None = None

    @property
    def of_slow_lane(self) -> "Tools":
        """The tools of the lane of its own that such work has."""
        return replace(self, pool=self.slow_pool or self.pool)


HandlerFunction = Callable[Concatenate[Tools, ...], Awaitable[Collection[str] | None]]
OwnersFunction = Callable[[Tools, Sequence[str]], Awaitable[Mapping[str, ObjectId]]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of the tools and up to `spec.batch` keys of a kind of job.

    `run` is safe to run twice, also side by side, and says in its docstring why. It raises `RetryLater` to be called
    again later; an outage of a dependency does the same; anything else counts as a failed attempt. One that leaves work
    for another call, so that others have their turn, returns the keys that may have more pending. One that raises
    `TakesLong` is called again with the tools for long work.

    `owners` returns whose work each of some keys is; then the owners who wait are served in rotation.

    What a call for many keys raises counts for none of them: each key is then tried alone.
    """

    run: HandlerFunction
    spec: JobSpec
    owners: OwnersFunction | None = None
