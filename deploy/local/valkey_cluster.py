"""Starts six embedded Valkey servers as one cluster: three masters, and a replica of each that takes over from it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis import Redis
from redis.cluster import parse_cluster_slots
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError

from deploy.local import valkey
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process

MASTERS = 3
NODES = tuple(f"valkey{number + 1}" for number in range(2 * MASTERS))
PORTS = tuple(f"{name}{kind}" for name in NODES for kind in ("", "_bus"))
TIMEOUT_MS = 4_000  # without a sign of life of a master; then its replica takes over


def start(name: str, data_dir: Path, logs: Path, ports: Mapping[str, int], lock: int) -> Process:
    """Starts one node (see NODES); it is not ready yet. Raises StartError."""
    options = [
        *("--cluster-enabled", "yes", "--cluster-port", str(ports[f"{name}_bus"])),
        *("--cluster-node-timeout", str(TIMEOUT_MS), "--cluster-replica-validity-factor", "0"),
        *("--cluster-require-full-coverage", "no"),  # else the loss of one master stops the others too
    ]
    full_name = f"{valkey.NAME} {name[-1]}"
    log = logs / f"{name}.log"
    return valkey.start(data_dir / name, log, ports[name], lock, name=full_name, options=options)


def url(ports: Mapping[str, int]) -> str:
    return "redis+cluster://" + ",".join(f"{LOOPBACK}:{ports[name]}" for name in NODES)


def await_ready(processes: Sequence[Process], ports: Mapping[str, int], until: float) -> None:
    """Waits until all slots are served and every replica follows; makes them a cluster the first time.

    Safe to repeat. `until` is in monotonic seconds. Raises StartError if one ends or they are not ready by then.
    """
    problem: object = "they do not answer"
    while time.monotonic() < until:
        for process in processes:
            process.check()
        try:
            if _form([_client(ports[name]) for name in NODES], ports):
                return
        except RedisError as error:
            problem = error
        time.sleep(0.1)
    raise StartError(f"{valkey.NAME} did not become a cluster in time: {problem} (logs: {processes[0].log.parent})")


def master_of(ports: Mapping[str, int], key: str) -> str:
    """The name of the node that holds a key, as the others say. Raises RedisError if nobody answers."""
    error: RedisError | None = None
    for name in NODES:
        try:
            with _client(ports[name]) as node:
                slot = node.cluster("KEYSLOT", key)
                holders = parse_cluster_slots(node.cluster("SLOTS"))
        except RedisError as unanswered:
            error = unanswered
            continue
        port = next(each["primary"][1] for (low, high), each in holders.items() if low <= slot <= high)
        return next(name for name in NODES if ports[name] == port)
    raise error or RedisError("there are no nodes")


def replica_of(master: str) -> str:
    """The name of the replica of a master, before any has taken over."""
    return NODES[NODES.index(master) + MASTERS]


def _form(nodes: Sequence[Redis], ports: Mapping[str, int]) -> bool:
    """Does what the nodes lack to be a cluster; whether they are one."""
    masters, replicas = nodes[:MASTERS], nodes[MASTERS:]
    infos = [node.cluster("INFO") for node in nodes]
    if any(int(info["cluster_known_nodes"]) < len(nodes) for info in infos):
        if int(infos[0]["cluster_current_epoch"]) == 0:
            _divide_slots(masters)
        for name in NODES[1:]:
            nodes[0].cluster("MEET", LOOPBACK, ports[name], ports[f"{name}_bus"])
        return False
    ids = [master.cluster("MYID").decode() for master in masters]
    if any(int(info["cluster_slots_assigned"]) < REDIS_CLUSTER_HASH_SLOTS for info in infos):
        return False
    for replica, master_id in zip(replicas, ids, strict=True):
        if replica.info("replication")["role"] == "master" and not _holds_slots(replica):
            replica.cluster("REPLICATE", master_id)
            return False
    roles = [node.info("replication") for node in nodes]
    follow = [role["master_link_status"] == "up" for role in roles if role["role"] == "slave"]
    return len(follow) == MASTERS and all(follow) and all(info["cluster_state"] == "ok" for info in infos)


def _divide_slots(masters: Sequence[Redis]) -> None:
    for number, master in enumerate(masters):
        if not _holds_slots(master):
            first, end = (REDIS_CLUSTER_HASH_SLOTS * each // MASTERS for each in (number, number + 1))
            master.cluster("ADDSLOTSRANGE", first, end - 1)
            master.cluster("SET-CONFIG-EPOCH", number + 1)


def _holds_slots(node: Redis) -> bool:
    own: Any = node.cluster("MYID")
    nodes: Any = node.cluster("NODES")
    return any(each["node_id"] == own.decode() and each["slots"] for each in nodes.values())


def _client(port: int) -> Redis:
    return Redis(LOOPBACK, port, socket_timeout=5, socket_connect_timeout=1)
