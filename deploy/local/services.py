"""The API and the workers as children, with the settings in their environment, restarted when they die."""

import http.client
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK, is_everywhere
from deploy.local.process import Process
from deploy.local.service import Service
from resolvers.transport.shared_listener import ConnectionCounts

ROOT = Path(__file__).parents[2]
WATCH_SECONDS = 0.2  # between two looks at the children
HANGS_SECONDS = 30.0  # without a sign of life, which a process gives ten times a second; then it is killed


@dataclass
class ApiProcesses:
    """API processes that share a listening socket, and are started again when they die or hang.

    Their logs are files in `logs`, or with None the output of this process.
    """

    settings: Settings
    listener: int
    counts: ConnectionCounts
    number: int
    logs: Path | None
    services: list[Service] = field(default_factory=list)
    signs: list[tuple[int, int]] = field(default_factory=list)
    """Of each process: its last sign of life, and how many times in a row it was the same when looked at."""

    @classmethod
    def create(cls, number: int, settings: Settings, listener: int, logs: Path | None = None) -> Self:
        """`number` processes that are not started yet, on a listening socket's descriptor."""
        return cls(settings, listener, ConnectionCounts.create(number), number, logs)

    @property
    def running(self) -> list[Process]:
        return [service.process for service in self.services]

    def start(self) -> None:
        """Starts all. Raises StartError; those that were started then are in `running`."""
        for number in range(self.number):
            self.services.append(Service.start(partial(self._spawn, number)))
            self.signs.append((0, 0))

    def restart_dead(self) -> list[str]:
        """To be called every `WATCH_SECONDS`: restarts those that died, after a pause. Returns lines to print."""
        lines = []
        for number, service in enumerate(self.services):
            if self._hangs(number):
                lines.append(f"{service.process.name} does not react; it is killed")
                service.process.kill()
            if line := service.restart_if_dead():
                lines.append(line)
        return lines

    def _hangs(self, number: int) -> bool:
        """Whether a process has given signs of life, and none while it was looked at for `HANGS_SECONDS`.

        Looks are counted, not seconds: if the whole machine stood still, this process looked as seldom.
        """
        sign, (last, looks) = self.counts.sign_of_life(number), self.signs[number]
        looks = looks + 1 if sign and sign == last else 0
        self.signs[number] = sign, looks
        return looks == round(HANGS_SECONDS / WATCH_SECONDS)

    def _spawn(self, number: int) -> Process:
        self.counts.withdraw(number)
        share = ["--share", str(self.counts.descriptor), "--number", str(number)]
        command = [sys.executable, "-m", "deploy.cli", "serve", "--listener", str(self.listener), *share]
        name, log = ("API", "api.log") if number == 0 else (f"API {number + 1}", f"api-{number + 1}.log")
        return Process.start(
            name,
            command,
            log=self.logs and self.logs / log,
            env=child_environment(self.settings),
            pass_fds=[self.listener, self.counts.descriptor],
            cwd=ROOT,
        )


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
