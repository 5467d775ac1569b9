"""The API and the workers as children, with the settings in their environment, restarted when they die."""

import http.client
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

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


class Place(NamedTuple):
    """Where an API process listens: on an inherited socket's descriptor, or with None at the port of its settings."""

    settings: Settings
    listener: int | None
    counts: ConnectionCounts


@dataclass
class ApiProcesses:
    """API processes that are started again when they die or hang.

    Their logs are files in `logs`, or with None the output of this process.
    """

    places: list[Place]
    logs: Path | None
    services: list[Service] = field(default_factory=list)
    signs: list[tuple[int, int]] = field(default_factory=list)
    """Of each process: its last sign of life, and how many times in a row it was the same when looked at."""

    @classmethod
    def create(cls, number: int, settings: Settings, listener: int, logs: Path | None = None) -> Self:
        """`number` processes that are not started yet, which share a listening socket's descriptor."""
        return cls([Place(settings, listener, ConnectionCounts.create(number))] * number, logs)

    @classmethod
    def behind_balancer(cls, settings: Settings, ports: Sequence[int], logs: Path) -> Self:
        """Processes that are not started yet, at a port of loopback each; they believe what the balancer forwards."""
        trusted = (*settings.trusted_proxies, LOOPBACK)
        each = settings.model_copy(update={"host": LOOPBACK, "trusted_proxies": trusted})
        number = len(ports)
        places = [  # with counts of its own a process waits for no other to accept
            Place(each.model_copy(update={"port": port}), None, ConnectionCounts.create(number)) for port in ports
        ]
        return cls(places, logs)

    @property
    def running(self) -> list[Process]:
        return [service.process for service in self.services]

    def start(self) -> None:
        """Starts all. Raises StartError; those that were started then are in `running`."""
        for number in range(len(self.places)):
            self.services.append(Service.start(partial(self._spawn, number)))
            self.signs.append((0, 0))

    def sign_of_life(self, number: int) -> int:
        """When a process gave its last sign of life, by the system's monotonic clock; 0 while it does not accept."""
        return self.places[number].counts.sign_of_life(number)

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

    def await_ready(self, others: Sequence[Process], seconds: float) -> None:
        """Waits until each place answers. Raises StartError if one of them or of `others` ends first, or it is late."""
        for host, port in dict.fromkeys((place.settings.host, place.settings.port) for place in self.places):
            await_answer([*self.running, *others], host, port, "/readyz", seconds)

    def _hangs(self, number: int) -> bool:
        """Whether a process has given signs of life, and none while it was looked at for `HANGS_SECONDS`.

        Looks are counted, not seconds: if the whole machine stood still, this process looked as seldom.
        """
        sign, (last, looks) = self.sign_of_life(number), self.signs[number]
        looks = looks + 1 if sign and sign == last else 0
        self.signs[number] = sign, looks
        return looks == round(HANGS_SECONDS / WATCH_SECONDS)

    def _spawn(self, number: int) -> Process:
        settings, listener, counts = self.places[number]
        counts.withdraw(number)
        share = ["--share", str(counts.descriptor), "--number", str(number)]
        command = [sys.executable, "-m", "deploy.cli", "serve", *share]
        inherited = [counts.descriptor]
        if listener is not None:
            command += ["--listener", str(listener)]
            inherited.append(listener)
        name, log = ("API", "api.log") if number == 0 else (f"API {number + 1}", f"api-{number + 1}.log")
        return Process.start(
            name,
            command,
            log=self.logs and self.logs / log,
            env=child_environment(settings),
            pass_fds=inherited,
            cwd=ROOT,
        )


def worker_process(settings: Settings, logs: Path) -> Process:
    """Starts one process with every worker in it. Raises StartError."""
    command = [sys.executable, "-m", "deploy.cli", "worker"]
    env = child_environment(settings)
    return Process.start("worker", command, log=logs / "worker.log", env=env, cwd=ROOT)


def await_answer(processes: Sequence[Process], host: str, port: int, path: str, seconds: float) -> None:
    """Waits until a path is answered by 200. Raises StartError if one of `processes` ends first or it is late."""
    until = time.monotonic() + seconds
    answer = "no answer"
    while time.monotonic() < until:
        for process in processes:
            process.check()
        answer = _answer(host, port, path)
        if answer == "200":
            return
        time.sleep(0.1)
    raise StartError(f"the API did not become ready in {seconds:.0f} s: {path} says {answer}")


def reachable(host: str) -> str:
    """The host to put in an address, when the API listens on all of them."""
    if is_everywhere(host):
        return LOOPBACK  # also of `::`, which listens on IPv4 too
    return f"[{host}]" if ":" in host else host


def _answer(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(reachable(host).strip("[]"), port, timeout=2)
    try:
        connection.request("GET", path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
