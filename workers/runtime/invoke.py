"""Calling a handler: for many keys at once where it can, and for each alone when that fails."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from datasources.outages import is_outage
from workers.rendering.expected import NeedsSlowLane
from workers.rendering.pool import RenderingUnavailable
from workers.runtime.handler import Handler, RetryLater, Tools


class HandlerTimeout(Exception):
    """A handler was not done within its time."""


@dataclass(slots=True)
class Outcome:
    """What became of some keys: paid (some may owe more by now), or what was raised for each.

    Of those that may owe more some take long: they are not paid, and belong in a lane of their own. An outage of a
    dependency ended it for those in neither.
    """

    done: list[str] = field(default_factory=list)
    has_more: set[str] = field(default_factory=set)
    needs_slow_lane: set[str] = field(default_factory=set)
    raised: dict[str, Exception] = field(default_factory=dict)
    outage: Exception | None = None

    @property
    def failed(self) -> dict[str, Exception]:
        """What was raised but for NotYet: an attempt each."""
        return {key: error for key, error in self.raised.items() if not isinstance(error, RetryLater)}


async def invoke(tools: Tools, handler: Handler, keys: Sequence[str]) -> Outcome:
    """Pays these keys, at most `handler.spec.batch` of them; if that fails and is no outage, each by a call of its own.

    So only the culprit among many is to blame. The first outage ends it. Raises nothing but cancellation.
    """
    outcome, calls = Outcome(), [keys]
    while calls and outcome.outage is None:
        some = calls.pop()
        try:
            outcome.has_more.update(await _call(tools, handler, some) or ())
            outcome.done += some
        except Exception as error:  # noqa: BLE001  whatever a handler raises is this line's business
            if isinstance(error, NeedsSlowLane):
                outcome.needs_slow_lane.update(some)
                outcome.has_more.update(some)
            elif is_outage(error) or isinstance(error, RenderingUnavailable):
                outcome.outage = error
            elif len(some) > 1:
                calls = [[key] for key in some]
            else:
                outcome.raised[some[0]] = error
    return outcome


async def _call(tools: Tools, handler: Handler, keys: Sequence[str]) -> Collection[str] | None:
    try:
        async with asyncio.timeout(handler.spec.seconds) as limit:
            return await handler.run(tools, *keys)
    except Exception as error:
        if limit.expired():
            raise HandlerTimeout(f"not done in {handler.spec.seconds} s") from error
        raise
