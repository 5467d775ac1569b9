"""Starts the embedded Valkey, which writes what it acknowledges to disk within a second."""

import socket
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local import binaries
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process

NAME = "Valkey"


def start(
    folder: Path, log: Path, port: int, lock: int, *, name: str = NAME, options: Sequence[str | Path] = ()
) -> Process:
    """Starts valkey-server on `port`, with these options too; it is not ready yet. Raises StartError."""
    folder.mkdir(exist_ok=True)
    command: list[str | Path] = [
        *(binaries.valkey_server(), "--port", str(port), "--bind", LOOPBACK, "--dir", folder, "--daemonize", "no"),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory-policy", "volatile-lru"),  # evicts cached values, which expire, and no queues
        *options,
    ]
    return Process.start(name, command, log=log, pass_fds=[lock])


def url(port: int) -> str:
    return f"redis://{LOOPBACK}:{port}/0"


def await_ready(process: Process, port: int, until: float) -> None:
    """Waits for its PONG, which it gives once its data is loaded. Raises StartError if it ends or is late."""
    while time.monotonic() < until:
        process.check()
        if _answers(port):
            return
        time.sleep(0.05)
    raise StartError(f"{NAME} did not become ready in time (log: {process.log})")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
