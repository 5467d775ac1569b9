"""Detecting that this process stood still (SIGSTOP, a paused machine): what timed out then is not the job's fault."""

import asyncio
import time

import structlog

FREEZE_SECONDS = 2.0
CHECKS = 4  # in the shortest freeze that counts

log = structlog.get_logger(__name__)


class FreezeDetector:
    """Counts the times that the process stood still for `at_least` seconds; being busy itself is no freeze.

    A freeze is counted before the code that follows an expired timeout runs.
    """

    def __init__(self, at_least: float = FREEZE_SECONDS) -> None:
        self.count = 0
        self._at_least = at_least
        self._pause = at_least / CHECKS
        self._timer: asyncio.TimerHandle | None = None
        self._checked_at = self._cpu_seconds = 0.0

    def start(self) -> None:
        """Begins to check; needs a running loop."""
        self._checked_at, self._cpu_seconds = time.monotonic(), time.process_time()
        # A bare timer, not a task: after a freeze it runs before any task sees a timeout that expired meanwhile.
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._check)

    def stop(self) -> None:
        """Ends the checks."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        idle = time.monotonic() - self._checked_at - (time.process_time() - self._cpu_seconds)
        if idle - self._pause >= self._at_least:
            self.count += 1
            log.warning("process.frozen", seconds=round(idle, 1))
        self.start()
