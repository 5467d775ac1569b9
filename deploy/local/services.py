"""The API and the workers as children, with the settings in their environment, restarted when they die."""

import http.client
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK, is_everywhere
from deploy.local.process import Process

ROOT = Path(__file__).parents[2]
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
            if now >= self.again_at:
                self.process, self.started, self.again_at = self.spawn(), now, None
                return f"{self.process.name} was started again (process {self.process.pid})"
            return None
        if self.process.exit_code is None:
            return None
        self.deaths = 1 if now - self.started > STEADY_SECONDS else self.deaths + 1
        pause = min(MAX_PAUSE, FIRST_PAUSE * 2 ** (self.deaths - 1))
        self.again_at = now + pause
        reason = self.process.why_it_ended()
        self.process.kill()  # also what it started itself
        return f"{reason}; starting again in {pause:.1f} s"


def api_process(number: int, settings: Settings, listener: int, logs: Path) -> Process:
    """Starts one API process on an inherited listening socket. Raises StartError."""
    command = [sys.executable, "-m", "deploy.cli", "serve", "--listener", str(listener)]
    name, log = ("API", "api.log") if number == 0 else (f"API {number + 1}", f"api-{number + 1}.log")
    env = child_environment(settings)
    return Process.start(name, command, log=logs / log, env=env, pass_fds=[listener], cwd=ROOT)


def worker_process(settings: Settings, logs: Path) -> Process:
    """Starts one process with every worker in it. Raises StartError."""
    command = [sys.executable, "-m", "deploy.cli", "worker"]
    env = child_environment(settings)
    return Process.start("worker", command, log=logs / "worker.log", env=env, cwd=ROOT)


def await_ready(processes: list[Process], host: str, port: int, seconds: float) -> None:
    """Waits until /readyz says 200. Raises StartError if one of `processes` ends first or it takes too long."""
    until = time.monotonic() + seconds
    answer = "no answer"
    while time.monotonic() < until:
        for process in processes:
            process.check()
        answer = _readyz(host, port)
        if answer == "200":
            return
        time.sleep(0.1)
    raise StartError(f"the API did not become ready in {seconds:.0f} s: /readyz says {answer}")


def reachable(host: str) -> str:
    """The host to put in an address, when the API listens on all of them."""
    if is_everywhere(host):
        return LOOPBACK  # also of `::`, which listens on IPv4 too
    return f"[{host}]" if ":" in host else host


def _readyz(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(reachable(host).strip("[]"), port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
