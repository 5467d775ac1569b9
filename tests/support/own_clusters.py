"""A cluster of Valkey and a replica set of MongoDB of some tests alone, whose members they may kill and start again."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from deploy.local import replica_set, valkey_cluster
from deploy.local.data_folder import hold
from deploy.local.ports import keep_ports
from deploy.local.process import Process, stop_all

START_SECONDS = 90.0  # on a machine that runs other things too
STOP_SECONDS = 10.0


class Kind(Protocol):
    """The interface of a module that starts servers which make one whole."""

    @property
    def PORTS(self) -> Sequence[str]: ...  # noqa: N802  a constant of the module
    def start(self, name: str, data_dir: Path, logs: Path, ports: Mapping[str, int], lock: int) -> Process: ...
    def await_ready(self, processes: Sequence[Process], ports: Mapping[str, int], until: float) -> None: ...
    def url(self, ports: Mapping[str, int]) -> str: ...


class Members:
    """Servers that make one whole, each always on its port and data."""

    kind: Kind
    names: Sequence[str]

    def __init__(self, folder: Path, ports: Mapping[str, int], lock: int) -> None:
        self._folder = folder
        self._ports = ports
        self._lock = lock
        self._processes: dict[str, Process] = {}
        self.url = self.kind.url(ports)

    @property
    def processes(self) -> list[Process]:
        return list(self._processes.values())

    def kill(self, name: str) -> None:
        """Sends SIGKILL and returns once the process is gone."""
        self._processes[name].kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends another signal, such as SIGSTOP."""
        os.kill(self._processes[name].pid, number)

    def start(self, *names: str) -> None:
        """Starts these, for the first time or again; they are not ready yet."""
        for name in names:
            self._processes[name] = self.kind.start(name, self._folder, self._folder / "logs", self._ports, self._lock)

    async def wait_until_ready(self) -> None:
        """Waits until they are one whole that takes writes, and all are part of it. Raises StartError."""
        until = time.monotonic() + START_SECONDS
        await asyncio.to_thread(self.kind.await_ready, self.processes, self._ports, until)


class ValkeyCluster(Members):
    """Three masters, and a replica of each."""

    kind = valkey_cluster
    names = valkey_cluster.NODES

    async def master_of(self, key: str) -> str:
        """The name of the node that holds a key."""
        return await asyncio.to_thread(valkey_cluster.master_of, self._ports, key)

    def port_of(self, name: str) -> int:
        return self._ports[name]


class MongoSet(Members):
    """Three members; one of them is the primary."""

    kind = replica_set
    names = replica_set.PORTS

    async def primary(self) -> str | None:
        """The name of the primary; None if there is none at the moment."""
        return await asyncio.to_thread(replica_set.primary, self._ports)


AnyMembers = TypeVar("AnyMembers", bound=Members)


@contextmanager
def own_members(make: type[AnyMembers], folder: Path) -> Iterator[AnyMembers]:
    """Starts all of a kind, without waiting until they are ready, and stops them at the end of the block."""
    with hold(folder) as lock, keep_ports(folder / "ports.json", make.kind.PORTS) as ports:
        members = make(folder, ports, lock)
        try:
            members.start(*make.names)
            yield members
        finally:
            stop_all(members.processes, STOP_SECONDS)
