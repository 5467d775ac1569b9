"""What a handler is: a function that does one kind of job for a key, or for many at once, and the tools it gets."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Concatenate

from bson import ObjectId

from datasources.sources import Sources
from domain.jobs import JobSpec
from workers.rendering.pool import RenderPool


class RetryLater(Exception):
    """What the job waits for has not come: it is neither done nor failed. The outbox relay enqueues it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What handlers work with. Workers that render have a pool, and the media worker another one for its slow lane."""

    sources: Sources
    pool: RenderPool | None = None
    slow_pool: RenderPool | None = None

    @property
    def renderer(self) -> RenderPool:
        """The pool of a worker that renders."""
        if self.pool is None:
            raise RuntimeError("rendering needs a pool")
        return self.pool

    @property
    def of_slow_lane(self) -> "Tools":
        """The tools for jobs of the slow lane."""
        return replace(self, pool=self.slow_pool or self.pool)


HandlerFunction = Callable[Concatenate[Tools, ...], Awaitable[Collection[str] | None]]
OwnersFunction = Callable[[Tools, Sequence[str]], Awaitable[Mapping[str, ObjectId]]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of the tools and up to `spec.batch` keys of a kind of job.

    `run` is safe to run twice, also side by side, and says in its docstring why. It raises `RetryLater` to be called
    again later; an outage of a dependency does the same; anything else is a failed attempt, or, with many keys, a call
    for each key alone. It may return the keys for which more may be pending, so that other keys get their turn. If it
    raises `NeedsSlowLane`, it is called again with the tools of the slow lane.

    `owners` returns who owns the work of each key; owners then take turns.
    """

    run: HandlerFunction
    spec: JobSpec
    owners: OwnersFunction | None = None
