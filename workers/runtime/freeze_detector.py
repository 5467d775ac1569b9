"""Noticing that this process did not run for a while: what failed in that time is not the work's fault."""

import asyncio
import time

import structlog

FREEZE_SECONDS = 2.0
LOOKS = 4  # in the shortest freeze that counts

log = structlog.get_logger(__name__)


class FreezeDetector:
    """Counts the times that the process stood still for `at_least` seconds.

    It may have been stopped (SIGSTOP), its container or machine paused, or so many others busy that it got no turn. A
    process that is itself busy is not frozen. Code that follows a time limit's end finds the freeze counted.
    """

    def __init__(self, at_least: float = FREEZE_SECONDS) -> None:
        self.count = 0
        self._at_least = at_least
        self._pause = at_least / LOOKS
        self._next: asyncio.TimerHandle | None = None
        self._looked = self._used = 0.0

    def start(self) -> None:
        """Begins to look; to be called where a loop runs."""
        self._look_later()

    def stop(self) -> None:
        """Ends the looking."""
        if self._next is not None:
            self._next.cancel()

    def _look_later(self) -> None:
        self._looked, self._used = time.monotonic(), time.process_time()
        # A bare timer, not a task: after a freeze it runs before any task hears of a limit that ended meanwhile.
        self._next = asyncio.get_running_loop().call_later(self._pause, self._look)

    def _look(self) -> None:
        idle = time.monotonic() - self._looked - (time.process_time() - self._used)
        if idle - self._pause >= self._at_least:
            self.count += 1
            log.warning("process.frozen", seconds=round(idle, 1))
        self._look_later()
