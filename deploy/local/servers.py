"""Starts MongoDB, Valkey and SeaweedFS as children of this process: for `photogram run` and for the tests alike.

As a cluster also nginx, before SeaweedFS.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from config import Settings
from deploy.local import binaries, data_folder, mongodb, nginx, replica_set, seaweedfs, valkey, valkey_cluster
from deploy.local.environment import environment
from deploy.local.errors import PortTakenError, StartError
from deploy.local.ports import keep_ports
from deploy.local.process import Process, stop_all
from deploy.local.service import Service

Waiting = tuple[str, Callable[[float], None]]
"""A server's name, and a function that waits for it until a time in monotonic seconds."""
START_SECONDS = 60.0
STOP_SECONDS = 10.0
START_ATTEMPTS = 3


@dataclass
class LocalServers:
    """The servers that run, and the settings that point at them."""

    settings: Settings
    cluster: bool = False
    processes: list[Process] = field(default_factory=list)
    """The servers that are alone of their kind."""
    members: list[Service] = field(default_factory=list)
    """The servers of the cluster and of the replica set, and nginx, which may be started again one by one."""

    @property
    def running(self) -> list[Process]:
        return [*self.processes, *(member.process for member in self.members)]

    def add_members(self, names: Sequence[str], start: Callable[[str], Process]) -> list[Process]:
        """Starts these members; returns their processes."""
        added = [Service.start(partial(start, name)) for name in names]
        self.members += added
        return [member.process for member in added]


def given_servers(settings: Settings) -> set[str]:
    """Names of the settings that name a server, by environment, file or argument: those are not started here."""
    return settings.model_fields_set & {"mongo_url", "redis_url", "s3_endpoint_url"}


def nginx_program(settings: Settings) -> Path | None:
    """The nginx to start before the storage of a cluster; None if there is none, or it has no place."""
    others = {"s3_endpoint_url", "s3_public_endpoint_url", "media_base_url", "cdn_purge_urls"}
    return None if settings.model_fields_set & others else binaries.nginx()


def connection_file(data_dir: Path) -> Path:
    """Where the settings of the servers that run in `data_dir` are written."""
    return data_dir / "connection.env"


def running_stack(data_dir: Path, settings: Settings) -> Path | None:
    """The settings file of what runs in `data_dir`, for a command that was not told which servers to use.

    None where nothing runs there, in production, and where `settings` name a server: a mix of two stacks would be
    worse than none.
    """
    file = connection_file(data_dir)
    if given_servers(settings) or settings.environment == "production" or not file.is_file():
        return None
    return file if data_folder.is_held(data_dir) else None


@contextmanager
def local_servers(data_dir: Path, settings: Settings, *, cluster: bool = False) -> Iterator[Settings]:
    """Runs the servers that `settings` does not name while the block runs; yields settings that name them all.

    With `cluster`, MongoDB is a replica set of three, and Valkey a cluster of three masters with a replica each. Images
    go through nginx where it is installed, unless SeaweedFS is not started or the settings name a CDN.

    Everything listens on loopback and writes below `data_dir`, which belongs to one such block at a time. The
    servers are stopped at the end of the block and die with this process, also when it is killed. Call it from the
    main thread. Raises StartError.
    """
    with data_folder.hold(data_dir) as lock, running_servers(data_dir, lock, settings, cluster=cluster) as servers:
        yield servers.settings


@contextmanager
def running_servers(
    data_dir: Path,
    lock: int,
    settings: Settings,
    announce: Callable[[str], None] = lambda _text: None,
    *,
    cluster: bool = False,
) -> Iterator[LocalServers]:
    """As `local_servers`, in a folder that is `held`; yields the processes too, to be watched.

    `announce` gets the name of each server while it is awaited.
    """
    with ExitStack() as stack:
        try:
            servers = _retry(
                partial(_start_and_wait, data_dir.absolute(), lock, LocalServers(settings, cluster), announce, stack)
            )
        except OSError as error:
            raise StartError(f"{error.strerror}: {error.filename or data_dir}") from error
        yield servers


def _retry(start: Callable[[], LocalServers]) -> LocalServers:
    """Starts again, with other ports, when another program took one between its choice and its use."""
    for _ in range(START_ATTEMPTS - 1):
        with suppress(PortTakenError):
            return start()
    return start()


def _start_and_wait(
    data_dir: Path, lock: int, wanted: LocalServers, announce: Callable[[str], None], stack: ExitStack
) -> LocalServers:
    """Leaves on the stack what stops the servers."""
    with ExitStack() as attempt:
        servers = LocalServers(wanted.settings, wanted.cluster)
        attempt.callback(_stop, servers)
        for name, await_ready in _start(data_dir, lock, servers, attempt):
            announce(name)
            await_ready(time.monotonic() + START_SECONDS)
        _write_connection_file(data_dir, servers, attempt)
        stack.push(attempt.pop_all())
    return servers


def _start(data_dir: Path, lock: int, servers: LocalServers, stack: ExitStack) -> list[Waiting]:
    """Starts all at once, in the caller's thread; returns what has to be waited for, the quickest first."""
    given = given_servers(servers.settings)
    names = (*replica_set.PORTS, *valkey_cluster.PORTS, *nginx.PORTS) if servers.cluster else ("mongo", "valkey")
    ports = stack.enter_context(keep_ports(data_dir / "ports.json", (*names, *seaweedfs.PORTS)))
    logs = data_dir / "logs"
    waiting: list[Waiting] = []
    updates: dict[str, Any] = {}
    where: dict[str, Any] = {"data_dir": data_dir, "logs": logs, "ports": ports, "lock": lock}
    if "s3_endpoint_url" not in given:  # the slowest goes first
        weed = seaweedfs.start(data_dir / "s3", logs / "seaweedfs.log", ports, lock, servers.settings)
        stack.callback(seaweedfs.remove_sockets, ports)
        servers.processes.append(weed)
        waiting.append((seaweedfs.NAME, partial(seaweedfs.await_ready, weed, ports)))
        updates["s3_endpoint_url"] = seaweedfs.url(ports)
        if servers.cluster and (program := nginx_program(servers.settings)):
            updates |= nginx.addresses(ports, servers.settings)
            behind = servers.settings.model_copy(update=updates)
            (edge,) = servers.add_members(nginx.PORTS, partial(nginx.start, program, **where, settings=behind))
            waiting.insert(0, (nginx.NAME, partial(nginx.await_ready, edge, ports)))
    if "mongo_url" not in given and servers.cluster:
        members = servers.add_members(replica_set.PORTS, partial(replica_set.start, **where))
        waiting.insert(0, (mongodb.NAME, partial(replica_set.await_ready, members, ports)))
        updates["mongo_url"] = replica_set.url(ports)
    elif "mongo_url" not in given:
        mongod = mongodb.start(data_dir / "mongo", logs / "mongod.log", ports["mongo"], lock)
        servers.processes.append(mongod)
        waiting.insert(0, (mongodb.NAME, partial(mongodb.await_ready, mongod, ports["mongo"])))
        updates["mongo_url"] = mongodb.url(ports["mongo"])
    if "redis_url" not in given and servers.cluster:
        nodes = servers.add_members(valkey_cluster.NODES, partial(valkey_cluster.start, **where))
        waiting.insert(0, (valkey.NAME, partial(valkey_cluster.await_ready, nodes, ports)))
        updates["redis_url"] = valkey_cluster.url(ports)
    elif "redis_url" not in given:
        redis = valkey.start(data_dir / "valkey", logs / "valkey.log", ports["valkey"], lock)
        servers.processes.append(redis)
        waiting.insert(0, (valkey.NAME, partial(valkey.await_ready, redis, ports["valkey"])))
        updates["redis_url"] = valkey.url(ports["valkey"])
    servers.settings = servers.settings.model_copy(update=updates)
    return waiting


def _stop(servers: LocalServers) -> None:
    stop_all([process for process in servers.processes if process.name == seaweedfs.NAME], seaweedfs.STOP_SECONDS)
    stop_all(servers.running, STOP_SECONDS)


def _write_connection_file(data_dir: Path, servers: LocalServers, stack: ExitStack) -> None:
    """A settings file for other commands, there while the servers are."""
    file = connection_file(data_dir)
    file.unlink(missing_ok=True)
    stack.callback(file.unlink, missing_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in environment(servers.settings).items()))
