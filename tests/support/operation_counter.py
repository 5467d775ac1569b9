"""Counts the commands that MongoDB gets, for tests and benchmarks that give their number."""

from collections import Counter
from typing import Self

from pymongo import monitoring


class OperationCounter(monitoring.CommandListener):
    """Counts what is asked of the database."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @classmethod
    def registered(cls) -> Self:
        """Counts for every client that this process opens from now on."""
        counter = cls()
        monitoring.register(counter)
        return counter

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in ("ping", "hello"):  # the watchdog's and the clock's, whenever they look
            self.counts[f"{event.command_name} {event.command.get(event.command_name)}"] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Counted when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Counted when it started."""
