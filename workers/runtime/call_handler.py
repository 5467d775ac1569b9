"""Calling a handler for many keys at once, and for each key alone if that fails."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from datasources.outages import is_outage
from workers.rendering.expected_time import NeedsSlowLane
from workers.rendering.pool import RenderingUnavailable
from workers.runtime.handler import Handler, RetryLater, Tools


class HandlerTimeout(Exception):
    """A handler was not done within its time."""


@dataclass(slots=True)
class Outcome:
    """What became of the keys of a call: `done`, or what was `raised` for each.

    For the keys in `has_more`, more may be pending; those of them in `needs_slow_lane` are not done. An `outage` of a
    dependency ended the call; then some keys may be in neither.
    """

    done: list[str] = field(default_factory=list)
    has_more: set[str] = field(default_factory=set)
    needs_slow_lane: set[str] = field(default_factory=set)
    raised: dict[str, Exception] = field(default_factory=dict)
    outage: Exception | None = None

    @property
    def failed(self) -> dict[str, Exception]:
        """What was raised, except RetryLater: one failed attempt each."""
        return {key: error for key, error in self.raised.items() if not isinstance(error, RetryLater)}


async def invoke(tools: Tools, handler: Handler, keys: Sequence[str]) -> Outcome:
    """Calls a handler for up to `handler.spec.batch` keys; if that fails and is no outage, for each key alone.

    So a key that fails does not make the others fail. The first outage ends it. Raises nothing but cancellation.
    """
    outcome, calls = Outcome(), [keys]
    while calls and outcome.outage is None:
        batch = calls.pop()
        try:
            outcome.has_more.update(await _call(tools, handler, batch) or ())
            outcome.done += batch
        except Exception as error:  # noqa: BLE001  the outcome tells whatever a handler raises
            if isinstance(error, NeedsSlowLane):
                outcome.needs_slow_lane.update(batch)
                outcome.has_more.update(batch)
            elif is_outage(error) or isinstance(error, RenderingUnavailable):
                outcome.outage = error
            elif len(batch) > 1:
                calls = [[key] for key in batch]
            else:
                outcome.raised[batch[0]] = error
    return outcome


async def _call(tools: Tools, handler: Handler, keys: Sequence[str]) -> Collection[str] | None:
    """What the handler returns. Raises HandlerTimeout after `handler.spec.seconds`, and what the handler raises."""
    try:
        async with asyncio.timeout(handler.spec.seconds) as limit:
            return await handler.run(tools, *keys)
    except Exception as error:
        if limit.expired():
            raise HandlerTimeout(f"not done in {handler.spec.seconds} s") from error
        raise
