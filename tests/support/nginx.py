"""nginx with the shipped configuration before the storage of the test run."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from config import Settings
from tests.support.waiting import eventually

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
SHIPPED = Path(__file__).resolve().parents[2] / "deploy/nginx/storage.conf"
ORIGIN = "https://app.example"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(folder: Path, port: int, storage: str, changes: dict[str, str]) -> Path:
    """Writes the shipped configuration with the ports and folder of this test, and the lines that must surround it."""
    changes = {
        "server 127.0.0.1:8333;": f"server {storage};",
        "listen 8300;": f"listen 127.0.0.1:{port};",
        "/var/cache/nginx/photogram ": f"{folder}/cache ",
        f'# "{ORIGIN}"': f'"{ORIGIN}"',
        **changes,
    }
    shipped = SHIPPED.read_text()
    for text, other in changes.items():
        assert text in shipped
        shipped = shipped.replace(text, other)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    user = "user root root;" if os.geteuid() == 0 else ""  # else its workers may not enter the test's folder
    file.write_text(f"{user} daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {paths} {shipped} }}")
    return file


@contextlib.asynccontextmanager
async def nginx(settings: Settings, folder: Path, **changes: str) -> AsyncIterator[str]:
    """The address of nginx before the storage of these settings, while the block runs."""
    port = free_port()
    file = configured(folder, port, urlsplit(settings.s3_endpoint_url or "").netloc, changes)
    assert NGINX is not None
    process = await asyncio.create_subprocess_exec(NGINX, "-e", "stderr", "-p", str(folder), "-c", str(file))

    async def is_up() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    try:
        await eventually(is_up, seconds=10)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
