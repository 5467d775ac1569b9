"""A cluster of Valkey and a replica set of MongoDB of some tests alone, whose members they may kill and start again."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.local import replica_set, valkey_cluster
from deploy.local.data_folder import hold
from deploy.local.ports import keep_ports
from deploy.local.process import Process, stop_all

START_SECONDS = 90.0  # on a machine that runs other things too
STOP_SECONDS = 10.0


class Members:
    """Servers that make one whole, each always on its port and data."""

    def __init__(self, names: Sequence[str], start: Callable[[str], Process]) -> None:
        self._start = start
        self._processes = {name: start(name) for name in names}

    @property
    def processes(self) -> list[Process]:
        return list(self._processes.values())

    def kill(self, name: str) -> None:
        """Sends SIGKILL and returns once the process is gone."""
        self._processes[name].kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends another signal, such as SIGSTOP."""
        os.kill(self._processes[name].pid, number)

    def start(self, name: str) -> None:
        """Starts a killed one again; it is not ready yet."""
        self._processes[name] = self._start(name)


class ValkeyCluster(Members):
    """Three masters, and a replica of each."""

    def __init__(self, folder: Path, ports: Mapping[str, int], lock: int) -> None:
        self._ports = ports
        super().__init__(
            valkey_cluster.NODES, lambda name: valkey_cluster.start(name, folder, folder / "logs", ports, lock)
        )
        self.url = valkey_cluster.url(ports)

    async def wait_until_ready(self) -> None:
        """Waits until all slots are served and all replicas follow. Raises StartError."""
        until = time.monotonic() + START_SECONDS
        await asyncio.to_thread(valkey_cluster.await_ready, self.processes, self._ports, until)

    async def master_of(self, key: str) -> str:
        """The name of the node that holds a key."""
        return await asyncio.to_thread(valkey_cluster.master_of, self._ports, key)

    def port_of(self, name: str) -> int:
        return self._ports[name]


class MongoSet(Members):
    """Three members; one of them is the primary."""

    def __init__(self, folder: Path, ports: Mapping[str, int], lock: int) -> None:
        self._ports = ports
        super().__init__(replica_set.PORTS, lambda name: replica_set.start(name, folder, folder / "logs", ports, lock))
        self.url = replica_set.url(ports)

    async def wait_until_ready(self) -> None:
        """Waits until there is a primary and the others follow. Raises StartError."""
        until = time.monotonic() + START_SECONDS
        await asyncio.to_thread(replica_set.await_ready, self.processes, self._ports, until)

    async def primary(self) -> str | None:
        """The name of the primary; None if there is none at the moment."""
        return await asyncio.to_thread(replica_set.primary, self._ports)


@contextmanager
def own_valkey_cluster(folder: Path) -> Iterator[ValkeyCluster]:
    """Starts one, without waiting until it is ready, and stops it at the end of the block."""
    with ExitStack() as stack:
        lock = stack.enter_context(hold(folder))
        ports = stack.enter_context(keep_ports(folder / "ports.json", valkey_cluster.PORTS))
        cluster = ValkeyCluster(folder, ports, lock)
        stack.callback(lambda: stop_all(cluster.processes, STOP_SECONDS))
        yield cluster


@contextmanager
def own_mongo_set(folder: Path) -> Iterator[MongoSet]:
    """Starts one, without waiting until it is ready, and stops it at the end of the block."""
    with ExitStack() as stack:
        lock = stack.enter_context(hold(folder))
        ports = stack.enter_context(keep_ports(folder / "ports.json", replica_set.PORTS))
        members = MongoSet(folder, ports, lock)
        stack.callback(lambda: stop_all(members.processes, STOP_SECONDS))
        yield members
