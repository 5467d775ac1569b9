"""A MongoDB and a Valkey of one test alone, which it may kill and start again on the same data."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from config import Settings
from deploy.local import mongodb, valkey
from deploy.local.data_folder import hold
from deploy.local.ports import keep_ports
from deploy.local.process import Process, stop_all

START_SECONDS = 60.0
STOP_SECONDS = 10.0


class Kind(Protocol):
    """The interface of a module that starts an embedded server."""

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
        """Sends SIGKILL and returns once the process is gone."""
        self.process.kill()

    async def start(self) -> None:
        """Starts the server again and waits until it takes writes."""
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
    """Both servers, and settings that name them and the shared storage of the test run."""

    def __init__(self, data_dir: Path, ports: Mapping[str, int], lock: int, shared: Settings) -> None:
        self.mongodb = Server(mongodb, data_dir / "mongo", ports["mongo"], lock)
        self.valkey = Server(valkey, data_dir / "valkey", ports["valkey"], lock)
        self.settings = shared.model_copy(update={"mongo_url": self.mongodb.url, "redis_url": self.valkey.url})


@contextmanager
def own_servers(data_dir: Path, shared: Settings) -> Iterator[Servers]:
    """Starts both servers, without waiting until they are ready, and stops them at the end of the block."""
    with hold(data_dir) as lock, keep_ports(data_dir / "ports.json", ("mongo", "valkey")) as ports:
        servers = Servers(data_dir, ports, lock, shared)
        try:
            yield servers
        finally:
            stop_all([servers.mongodb.process, servers.valkey.process], STOP_SECONDS)
