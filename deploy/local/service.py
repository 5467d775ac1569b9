"""A child that is started again when it dies."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.local.errors import StartError
from deploy.local.process import Process

FIRST_PAUSE, MAX_PAUSE = 0.5, 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long restarts without the longer pauses of earlier deaths."""


@dataclass
class Service:
    """A child that is to run until told to stop."""

    spawn: Callable[[], Process]
    process: Process
    started: float
    deaths: int = 0
    again_at: float | None = None

    @classmethod
    def start(cls, spawn: Callable[[], Process]) -> "Service":
        return cls(spawn, spawn(), time.monotonic())

    def restart_if_dead(self) -> str | None:
        """Restarts it after a pause, which doubles from death to death. Returns a line to print, or None."""
        now = time.monotonic()
        if self.again_at is not None:
            return self._restart(now) if now >= self.again_at else None
        if self.process.exit_code is None:
            return None
        reason = self.process.why_it_ended()
        self.process.kill()  # also what it started itself
        return self._await_restart(now, reason, is_steady=now - self.started > STEADY_SECONDS)

    def _restart(self, now: float) -> str:
        try:
            self.process = self.spawn()
        except StartError as error:  # such as no memory for another process
            return self._await_restart(now, str(error))
        self.started, self.again_at = now, None
        return f"{self.process.name} was started again (process {self.process.pid})"

    def _await_restart(self, now: float, reason: str, *, is_steady: bool = False) -> str:
        self.deaths = 1 if is_steady else self.deaths + 1
        pause = min(MAX_PAUSE, FIRST_PAUSE * 2 ** min(self.deaths - 1, 10))
        self.again_at = now + pause
        return f"{reason}; starting again in {pause:.1f} s"
