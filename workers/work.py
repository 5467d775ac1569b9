"""What a handler is: a function that pays one effect for one key, and what it may use."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from datasources.sources import Sources
from workers.rendering.pool import RenderPool


class NotYet(Exception):
    """What the work waits for has not come: neither done nor failed; the sweeper rings again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What handlers work with; the media worker alone has a pool."""

    sources: Sources
    pool: RenderPool | None = None


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of the tools and a key, and the longest it may take, in seconds.

    It must be safe to run twice, also side by side, and says in its docstring why it is. It raises `NotYet` to be
    called again later; an outage of a dependency does the same; anything else counts as a failed attempt.
    """

    run: Callable[[Tools, str], Awaitable[None]]
    seconds: float = 60.0
