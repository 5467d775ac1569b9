"""Counts what is asked of MongoDB."""

from typing import Self

from pymongo import monitoring


class OperationCounter(monitoring.CommandListener):
    """Counts the commands of every client that is made after it was installed."""

    def __init__(self) -> None:
        self.count = 0

    @classmethod
    def installed(cls) -> Self:
        """Listens from now on, in this process."""
        counter = cls()
        monitoring.register(counter)
        return counter

    def started(self, event: monitoring.CommandStartedEvent) -> None:  # noqa: ARG002  the listener's interface
        """One more."""
        self.count += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to count."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to count."""
