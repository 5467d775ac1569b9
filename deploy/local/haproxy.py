"""Starts HAProxy with the shipped configuration before API processes of this machine."""

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process
from deploy.local.shipped import changed

NAME = "HAProxy"
SHIPPED = "haproxy/haproxy.cfg"
MAX_CONNECTIONS = 2_000
"""Each takes two open files, of which every process of Linux may have 4,096."""
SERVER = re.compile(r"( +)server api1 127\.0\.0\.1:8001(.*)")
STOP_SIGNAL = signal.SIGUSR1
"""Takes no new connections, and serves those that are open."""


def start(program: Path, folder: Path, log: Path, listener: int, ports: Sequence[int]) -> Process:
    """Starts HAProxy on a listening socket's descriptor, before the API processes at these ports. Raises StartError.

    `folder` gets its configuration, and two Unix sockets: `admin`, for commands, and `operators`, for its metrics.
    """
    file = folder / "haproxy.cfg"
    try:
        folder.mkdir(exist_ok=True)
        file.write_text(configuration(listener, ports))
    except OSError as error:
        raise StartError(f"{NAME} could not be configured: {error}") from error
    # Relative, because the path of a Unix socket has 108 bytes at most.
    return Process.start(NAME, [program, "-db", "-f", file.name], log=log, pass_fds=[listener], cwd=folder)


def configuration(listener: int, ports: Sequence[int]) -> str:
    """The shipped configuration for these processes, with room for `MAX_CONNECTIONS`."""
    text = changed(
        SHIPPED,
        {
            "maxconn 40000": f"maxconn {MAX_CONNECTIONS}",
            "maxconn 36000": f"maxconn {MAX_CONNECTIONS * 9 // 10}",
            "bind :8080": f"bind fd@{listener}",
            f"bind {LOOPBACK}:8404": "bind unix@operators",
            "stats socket /run/haproxy/photogram.sock": "stats socket unix@admin",
        },
    )
    lines = [line for line in text.splitlines() if not re.match(r" +server api[2-9]", line)]
    return "\n".join(SERVER.sub(lambda match: _servers(match, ports), line) for line in lines) + "\n"


def _servers(first: re.Match[str], ports: Sequence[int]) -> str:
    """The line of the first process, and the same for the others."""
    indent, options = first.groups()
    numbered = enumerate(ports, 1)
    return "\n".join(
        f"{indent}server api{number} {LOOPBACK}:{port}{options.replace('/api1', f'/api{number}')}"
        for number, port in numbered
    )
