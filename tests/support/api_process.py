"""An API process on a port of its own, and its memory, processor time and connections."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import psutil

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.ports import LOOPBACK, listen
from tests.support.stack import ROOT

COMMAND = ("deploy.cli", "serve")
STOP_SECONDS = 60.0
MEMORY_INTERVAL = 0.01


def cpu_seconds(process: psutil.Process) -> float:
    """Processor seconds that a process has used so far."""
    if sys.platform == "linux":
        return time.clock_gettime(~process.pid << 3 | 2)  # its clock, as clock_getcpuclockid(3) has it
    times = process.cpu_times()  # in hundredths
    return times.user + times.system


class MeasuredProcess:
    """A running process, and what it uses."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self._measured = psutil.Process(process.pid)

    @property
    def cpu(self) -> float:
        """Processor seconds so far."""
        return cpu_seconds(self._measured)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(self._measured.memory_info().rss)


class ApiProcess(MeasuredProcess):
    """A process that serves the API until its block ends."""

    def __init__(self, process: subprocess.Popen[bytes], settings: Settings) -> None:
        super().__init__(process, settings.port)
        self._redis_port = urlsplit(settings.redis_url).port

    def connections(self) -> Counter[str]:
        """How many connections are established: of `clients`, to `redis`, and to `mongodb`."""
        names = {self._redis_port: "redis", self.port: "clients"}
        established = [
            each
            for each in self._measured.net_connections("tcp")
            if each.status == psutil.CONN_ESTABLISHED and each.raddr
        ]
        return Counter(names.get(each.raddr.port) or names.get(each.laddr.port) or "mongodb" for each in established)

    def other_descriptors(self) -> int:
        """How many open files and sockets are none of these."""
        return self._measured.num_fds() - self.connections().total()

    @contextlib.asynccontextmanager
    async def peak_memory(self) -> AsyncIterator[list[int]]:
        """A list of one number: the most memory that it had during the block, in bytes."""
        peak = [self.memory]

        async def watch() -> None:
            while True:
                peak[0] = max(peak[0], self.memory)
                await asyncio.sleep(MEMORY_INTERVAL)

        watching = asyncio.create_task(watch())
        try:
            yield peak
        finally:
            watching.cancel()


@contextlib.contextmanager
def api_process(settings: Settings, *command: str, stdout: int | None = None) -> Iterator[ApiProcess]:
    """Runs the API, or the module `command` with its arguments, on a free port.

    Whoever connects at once waits until it is up. Raises AssertionError if it has ended by itself.
    """
    with listen(LOOPBACK, 0) as listener:
        settings = settings.model_copy(update={"host": LOOPBACK, "port": listener.getsockname()[1], "allow_root": True})
        process = subprocess.Popen(  # noqa: S603  our own module
            (sys.executable, "-m", *(command or COMMAND), "--listener", str(listener.fileno())),
            cwd=ROOT, env=child_environment(settings), pass_fds=[listener.fileno()], stdout=stdout,
        )  # fmt: skip
    try:
        yield ApiProcess(process, settings)
    finally:
        returncode = process.poll()
        process.terminate()
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
    assert returncode is None, f"the API has ended with {returncode}"
