"""MongoDB and Valkey of one test's own, to be killed and started again on the data they had."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from config import Settings
from deploy.local import mongodb, valkey
from deploy.local.folder import held
from deploy.local.ports import keep_ports
from deploy.local.process import Process, stop_all

START_SECONDS = 60.0
STOP_SECONDS = 10.0


class Kind(Protocol):
    """What a module that starts an embedded server offers."""

    def start(self, folder: Path, log: Path, port: int, lock: int) -> Process: ...
    def await_ready(self, process: Process, port: int, until: float) -> None: ...
    def url(self, port: int) -> str: ...


class Server:
    """One server process, always on the same port and data."""

    def __init__(self, kind: Kind, folder: Path, port: int, lock: int) -> None:
        self._kind = kind
        self.folder = folder
        self._port = port
        self._lock = lock
        self.url = kind.url(port)
        self.process = self._start()

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        self.process.kill()

    async def start(self) -> None:
        """Starts it again, and waits until it takes writes."""
        self.process = self._start()
        await self.wait_until_ready()

    async def wait_until_ready(self) -> None:
        """Waits until it takes writes. Raises StartError."""
        until = time.monotonic() + START_SECONDS
        await asyncio.to_thread(self._kind.await_ready, self.process, self._port, until)

    def _start(self) -> Process:
        log = self.folder.with_suffix(".log")
        return self._kind.start(self.folder, log, self._port, self._lock)


class Servers:
    """A MongoDB and a Valkey, and settings that point at them and at the run's shared storage."""

    def __init__(self, data_dir: Path, lock: int, shared: Settings) -> None:
        ports = keep_ports(data_dir / "ports.json", ("mongo", "valkey"))
        self.mongodb = Server(mongodb, data_dir / "mongo", ports["mongo"], lock)
        self.valkey = Server(valkey, data_dir / "valkey", ports["valkey"], lock)
        self.settings = shared.model_copy(update={"mongo_url": self.mongodb.url, "redis_url": self.valkey.url})


@contextmanager
def own_servers(data_dir: Path, shared: Settings) -> Iterator[Servers]:
    """Starts both and stops them at the end of the block; they are not ready yet."""
    with held(data_dir) as lock:
        servers = Servers(data_dir, lock, shared)
        try:
            yield servers
        finally:
            stop_all([servers.mongodb.process, servers.valkey.process], STOP_SECONDS)
