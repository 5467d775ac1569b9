"""Loopback ports: free ones for the servers, kept from start to start, and the API's own."""

import errno
import json
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path

from deploy.local.errors import StartError

LOOPBACK = "127.0.0.1"
LOW, HIGH = 20_000, 32_000
"""Below the ports that systems hand to outgoing connections, so that a kept port is likely to be free next time."""


@contextmanager
def keep_ports(file: Path, names: Sequence[str]) -> Iterator[dict[str, int]]:
    """A free port for each name: those in `file` that are still free, else new ones, which it writes there.

    Kept ports let addresses survive a restart: of images at clients, and of the replica set's member. During the block
    all are reserved, so that starts side by side do not choose the same.
    """
    kept = _read(file)
    with ExitStack() as stack:
        ports: dict[str, int] = {}
        for name in names:
            port = kept.get(name)
            reserved = reserve_port(port, is_kept=True) if port and port not in ports.values() else None
            reserved = reserved or _reserve_new({*ports.values(), *kept.values()})
            ports[name] = stack.enter_context(reserved).getsockname()[1]
        if ports != kept:
            file.write_text(json.dumps(ports, indent=1) + "\n")
        yield ports


def reserve_port(port: int = 0, *, is_kept: bool = False) -> socket.socket | None:
    """A socket that is bound and does not listen, on any port for 0; None if the port is in use.

    On Linux nobody is given its port by chance, or can reserve it, and a server that asks for it gets it. Connections
    of the last run may linger on a port that `is_kept`.
    """
    reserved = socket.socket()
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, is_kept)
        reserved.bind((LOOPBACK, port))
    except OSError:
        reserved.close()
        return None
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return reserved


@contextmanager
def reserve_ports(number: int) -> Iterator[list[int]]:
    """So many free ports, reserved during the block."""
    with ExitStack() as stack:
        yield [stack.enter_context(_reserve_new(set())).getsockname()[1] for _ in range(number)]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for the API, inheritable; port 0 means any free one; `::` listens on IPv4 too.

    Raises StartError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = is_everywhere(host) and family is socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {port} on {host} is taken by another program; choose one with --port") from error
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    listener.set_inheritable(True)
    return listener


def is_everywhere(host: str) -> bool:
    """Whether a host stands for every address of the machine, however it is written."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _reserve_new(taken: set[int]) -> socket.socket:
    for _ in range(200):
        port = random.randint(LOW, HIGH)  # noqa: S311  not a secret
        reserved = None if port in taken else reserve_port(port)
        if reserved is not None:
            return reserved
    raise StartError(f"no free port between {LOW} and {HIGH} on {LOOPBACK}")


def _read(file: Path) -> dict[str, int]:
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): port for name, port in kept.items() if isinstance(port, int)} if isinstance(kept, dict) else {}
