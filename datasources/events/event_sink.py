"""Where public events go: each sink takes events that may have been sent before."""

from collections.abc import Sequence
from typing import Protocol

from domain.events import Event


class EventSink(Protocol):
    """A place from which others read events. Events come at least once, in any order; a repetition has the same id."""

    async def send(self, events: Sequence[Event]) -> None:
        """Returns once all are safe in the sink. Raises an outage (`datasources.outages`); then some may be there."""
        ...
