"""Starts the embedded MongoDB: a replica set of one, which transactions and majority reads need."""

import contextlib
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from deploy.local import binaries
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process

NAME = "MongoDB"
REPLICA_SET = "photogram"
NOT_YET_INITIALIZED = 94


def start(folder: Path, log: Path, port: int, lock: int, *, name: str = NAME) -> Process:
    """Starts mongod on `port`; it is not ready yet. Raises StartError."""
    folder.mkdir(exist_ok=True)
    command: list[str | Path] = [
        *(binaries.mongod(), "--dbpath", folder, "--port", str(port), "--bind_ip", LOOPBACK, "--nounixsocket"),
        *("--replSet", REPLICA_SET, "--oplogSize", "256", "--wiredTigerCacheSizeGB", "0.25", "--quiet"),
        *("--wiredTigerEngineConfigString", "log=(file_max=16MB,prealloc=false)"),  # else 300 MB for an empty database
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # A killed worker's transaction blocks other writers of its documents until it expires: after up to 4.5 s, half
        # as long again, which is less than an operation may take.
        *("--setParameter", "transactionLifetimeLimitSeconds=3"),
        # A replica set member waits 15 s for a successor before it stops; this one has none.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
    ]
    return Process.start(name, command, log=log, pass_fds=[lock])


def url(port: int) -> str:
    return f"mongodb://{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}"


def await_ready(process: Process, port: int, until: float) -> None:
    """Waits until it accepts majority writes, and makes it a replica set the first time. Safe to repeat.

    `until` is in monotonic seconds. Raises StartError if it ends or is not ready by then.
    """
    problem = "it does not answer"
    while time.monotonic() < until:
        process.check()
        # A new client each time: one that met the server before it was initiated keeps taking it for a standalone.
        with client_of(port) as client:
            try:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return
                _configure(client, f"{LOOPBACK}:{port}")
            except PyMongoError as error:
                problem = str(error)
        time.sleep(0.05)
    raise StartError(f"{NAME} did not become ready in time: {problem[:200]} (log: {process.log})")


def _configure(client: MongoClient[dict[str, Any]], member: str) -> None:
    """Makes `member` the only member: initiates the set once, and moves it when the port has changed."""
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        first = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]}
        with contextlib.suppress(ConfigurationError):
            client.admin.command("replSetInitiate", first)
        return
    if [other["host"] for other in config["members"]] != [member]:
        moved = {**config, "version": config["version"] + 1, "members": [{**config["members"][0], "host": member}]}
        client.admin.command("replSetReconfig", moved, force=True)


def client_of(port: int) -> MongoClient[dict[str, Any]]:
    """A client of this one server, whatever its state in the set."""
    return MongoClient(
        LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=500, connectTimeoutMS=500, socketTimeoutMS=5000
    )
