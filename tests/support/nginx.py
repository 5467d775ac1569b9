"""nginx with the shipped configuration before the storage of the test run."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from config import Settings
from deploy.local import binaries
from deploy.local.nginx import FILE, configuration
from deploy.local.ports import LOOPBACK
from tests.support.waiting import eventually

NGINX = binaries.nginx()
ORIGIN = "https://app.example"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def nginx(settings: Settings, folder: Path, **changes: str) -> AsyncIterator[str]:
    """The address of nginx before the storage of these settings, while the block runs."""
    assert NGINX is not None
    port = free_port()
    changes = {f'# "{ORIGIN}"': f'"{ORIGIN}"', **changes}
    user = "user root root;" if os.geteuid() == 0 else ""  # else its workers may not enter the test's folder
    (folder / FILE).write_text(configuration(port, settings, changes, user))
    process = await asyncio.create_subprocess_exec(NGINX, "-p", str(folder), "-c", FILE)

    async def is_up() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((LOOPBACK, port), 1).close()
            return True
        return False

    try:
        await eventually(is_up, seconds=10)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        process.terminate()
        await process.wait()
