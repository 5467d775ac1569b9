"""HAProxy with the shipped configuration before given ports."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local import binaries
from deploy.local.haproxy import start
from deploy.local.ports import LOOPBACK, listen
from deploy.local.process import stop_all

HAPROXY = binaries.haproxy()
STOP_SECONDS = 10.0


@contextmanager
def haproxy(ports: Sequence[int]) -> Iterator[tuple[str, Path]]:
    """The address of HAProxy before these ports, while the block runs, and its folder with its log."""
    assert HAPROXY is not None
    with tempfile.TemporaryDirectory(prefix="haproxy-") as name, listen(LOOPBACK, 0) as listener:
        folder = Path(name)
        process = start(HAPROXY, folder, folder / "haproxy.log", listener.fileno(), ports)
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}", folder
        finally:
            stop_all([process], STOP_SECONDS)
