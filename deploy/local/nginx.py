"""Starts nginx with the shipped configuration before the embedded storage: it caches public images, as a CDN does."""

import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config import Settings
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process
from deploy.local.shipped import changed
from resolvers.transport.origins import origin_pattern

NAME = "nginx"
PORTS = (NAME,)
SHIPPED, FILE = "nginx/storage.conf", "nginx.conf"
ORIGIN = '# "https://app.example" $http_origin;'
TEMPORARY = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"


def start(
    program: Path, name: str, data_dir: Path, logs: Path, ports: Mapping[str, int], lock: int, settings: Settings
) -> Process:
    """Starts nginx, with an empty cache, before the storage of these settings; it is not ready yet.

    It is one process, which dies with this one: nginx's workers would outlive a killed master. The process that keeps
    a cache to its size is missing then, so the cache has as many files as its memory has room for. Raises StartError.
    """
    folder = data_dir / name
    changes = {"keys_zone=photogram:10m": "keys_zone=photogram:1m", **allowed_pages(settings)}  # 8,000 files
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        (folder / FILE).write_text(configuration(ports[name], settings, changes, "master_process off;"))
    except OSError as error:
        raise StartError(f"{NAME} could not be configured: {error}") from error
    command: list[str | Path] = [program, "-p", folder, "-c", FILE]
    return Process.start(NAME, command, log=logs / f"{name}.log", pass_fds=[lock])


def configuration(port: int, settings: Settings, changes: Mapping[str, str], process: str = "") -> str:
    """The shipped configuration for this machine, and the lines that must surround it.

    Paths are relative to the folder that nginx is started with (`-p`). `process` is about its processes.
    """
    shipped = changed(
        SHIPPED,
        {
            "server 127.0.0.1:8333;": f"server {urlsplit(settings.s3_endpoint_url or '').netloc};",
            "listen 8300;": f"listen {LOOPBACK}:{port};",
            "/var/cache/nginx/photogram ": "cache ",
            "photogram-media": settings.media_bucket,
            **changes,
        },
    )
    paths = "".join(f"{kind}_temp_path {kind};" for kind in TEMPORARY)
    return f"{process} daemon off; pid pid; error_log stderr; events {{}} http {{ access_log off; {paths} {shipped} }}"


def addresses(ports: Mapping[str, int], settings: Settings) -> dict[str, Any]:
    """The settings that send clients to nginx for images and uploads, and purges too."""
    url = f"http://{LOOPBACK}:{ports[NAME]}"
    return {"s3_public_endpoint_url": url, "cdn_purge_urls": (f"{url}/{settings.media_bucket}",)}


def await_ready(process: Process, ports: Mapping[str, int], until: float) -> None:
    """Waits until it accepts connections. Raises StartError if it ends or is late."""
    while time.monotonic() < until:
        process.check()
        try:
            socket.create_connection((LOOPBACK, ports[NAME]), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise StartError(f"{NAME} did not become ready in time (log: {process.log})")


def allowed_pages(settings: Settings) -> dict[str, str]:
    """The change of the shipped map that lets pages of the settings' origins read images by script."""
    origins = settings.storage_origins
    if "*" in origins:
        return {f'default "";\n    {ORIGIN}': 'default "*";'}
    return {ORIGIN: "".join(f'"~*^(?:{origin_pattern([each]).pattern})$" $http_origin;' for each in origins)}
