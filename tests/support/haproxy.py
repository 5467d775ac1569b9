"""HAProxy with the shipped configuration before given ports."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import LOOPBACK, reserve_port

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
SHIPPED = Path(__file__).resolve().parents[2] / "deploy/haproxy/haproxy.cfg"


def configured(folder: Path, port: int, ports: Sequence[int]) -> Path:
    """Writes the shipped configuration with the ports and folder of this test."""
    changes = {
        "maxconn 40000": "maxconn 2000",  # what the machine's limit of open files allows
        "maxconn 36000": "maxconn 1500",
        "bind :8080": f"bind {LOOPBACK}:{port}",
        f"bind {LOOPBACK}:8404": f"bind unix@{folder}/operators",
        "/run/haproxy/photogram.sock": f"{folder}/admin",
        **{f"{LOOPBACK}:800{number}": f"{LOOPBACK}:{each}" for number, each in enumerate(ports, 1)},
    }
    shipped = SHIPPED.read_text()
    for text, other in changes.items():
        assert text in shipped
        shipped = shipped.replace(text, other)
    if len(ports) < 3:
        shipped = "\n".join(line for line in shipped.splitlines() if "server api3" not in line) + "\n"
    file = folder / "haproxy.cfg"
    file.write_text(shipped)
    return file


@contextmanager
def haproxy(ports: Sequence[int]) -> Iterator[tuple[str, Path]]:
    """The address of HAProxy before these ports, while the block runs, and its folder."""
    reserved = reserve_port()
    assert reserved is not None
    assert HAPROXY is not None
    with (
        reserved,
        tempfile.TemporaryDirectory(prefix="haproxy-") as name,
    ):  # short: a socket's path has 108 bytes at most
        folder = Path(name)
        port = reserved.getsockname()[1]
        file = configured(folder, port, ports)
        command = [HAPROXY, "-db", "-f", str(file)]
        with (folder / "haproxy.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  Debian's
        try:
            yield f"http://{LOOPBACK}:{port}", folder
        finally:
            process.terminate()
            process.wait(30)
