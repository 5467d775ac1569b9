"""Starts three embedded MongoDB servers as one replica set: it survives the loss of any one of them."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local import mongodb
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process

PORTS = ("mongo1", "mongo2", "mongo3")
ELECTION_MS = 4_000  # without a sign of life of the primary; then the others elect another


def start(name: str, data_dir: Path, logs: Path, ports: Mapping[str, int], lock: int) -> Process:
    """Starts one member (see PORTS); it is not ready yet. Raises StartError."""
    return mongodb.start(data_dir / name, logs / f"{name}.log", ports[name], lock, name=f"{mongodb.NAME} {name[-1]}")


def url(ports: Mapping[str, int]) -> str:
    members = ",".join(_members(ports))
    return f"mongodb://{members}/?replicaSet={mongodb.REPLICA_SET}"


def await_ready(processes: Sequence[Process], ports: Mapping[str, int], until: float) -> None:
    """Waits until there is a primary that takes majority writes; makes them a replica set the first time.

    Safe to repeat. `until` is in monotonic seconds. Raises StartError if one ends or they are not ready by then.
    """
    problem = "they do not answer"
    while time.monotonic() < until:
        for process in processes:
            process.check()
        try:
            if _has_primary(ports):
                return
            with mongodb.client_of(ports[PORTS[0]]) as client:
                _configure(client, _members(ports))
        except PyMongoError as error:
            problem = str(error)
        time.sleep(0.1)
    raise StartError(f"{mongodb.NAME} did not become ready in time: {problem[:200]} (logs: {processes[0].log.parent})")


def primary(ports: Mapping[str, int]) -> str | None:
    """The name of the member that is the primary; None if there is none at the moment."""
    for name in PORTS:
        with contextlib.suppress(PyMongoError), mongodb.client_of(ports[name]) as client:
            if client.admin.command("hello").get("isWritablePrimary"):
                return name
    return None


def _has_primary(ports: Mapping[str, int]) -> bool:
    """Whether there is a primary, and both others follow it."""
    name = primary(ports)
    if name is None:
        return False
    with mongodb.client_of(ports[name]) as client:
        members = client.admin.command("replSetGetStatus")["members"]
    return sorted(member["stateStr"] for member in members) == ["PRIMARY", "SECONDARY", "SECONDARY"]


def _configure(client: MongoClient[dict[str, Any]], hosts: Sequence[str]) -> None:
    """Initiates the set once, and moves its members when their ports have changed."""
    members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
    settings = {"electionTimeoutMillis": ELECTION_MS}
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != mongodb.NOT_YET_INITIALIZED:
            raise
        client.admin.command("replSetInitiate", {"_id": mongodb.REPLICA_SET, "members": members, "settings": settings})
        return
    if [member["host"] for member in config["members"]] != list(hosts):
        moved = {**config, "version": config["version"] + 1, "members": members}
        client.admin.command("replSetReconfig", moved, force=True)


def _members(ports: Mapping[str, int]) -> list[str]:
    return [f"{LOOPBACK}:{ports[name]}" for name in PORTS]
