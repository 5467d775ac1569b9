"""Starts the embedded SeaweedFS: S3 with real signatures, on one disk and little memory."""

import contextlib
import http.client
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from config import Settings
from deploy.local import binaries
from deploy.local.errors import StartError
from deploy.local.ports import LOOPBACK
from deploy.local.process import Process

NAME = "SeaweedFS"
PORTS = tuple(f"{part}{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", "_grpc"))
VOLUME_MB = 256
"""Volumes are small files that grow; nothing is allocated ahead."""
STOP_SECONDS = 1.0
"""What it acknowledged is in its files already. A polite stop would wait 15 s for its own subscribers."""


def start(folder: Path, log: Path, ports: Mapping[str, int], lock: int, settings: Settings) -> Process:
    """Starts weed on `ports` (see PORTS); it is not ready yet. Raises StartError."""
    if not settings.s3_access_key:
        raise StartError("PHOTOGRAM_S3_ACCESS_KEY is empty; the embedded S3 needs one")
    folder.mkdir(exist_ok=True)
    identities = folder / "s3.json"
    identities.touch(mode=0o600)
    identities.write_text(json.dumps(_identities(settings), indent=1))
    listening = [f"-{name.replace('_grpc', '')}.port{'.grpc' * name.endswith('_grpc')}={ports[name]}" for name in PORTS]
    command: list[str | Path] = [
        *(binaries.weed(), "-logtostderr=true", "server", f"-dir={folder}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
        *listening,
        *("-master.peers=none", "-master.telemetry=false", f"-master.volumeSizeLimitMB={VOLUME_MB}"),
        *("-volume.max=0", "-volume.preStopSeconds=0"),
        *("-filer", "-filer.disableHttp"),  # the filer's HTTP asks for no credentials; S3 reaches it by gRPC
        *("-s3", f"-s3.config={identities}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        f"-s3.localSocket={_socket('s3', ports)}",
    ]
    env = {**os.environ, "GOGC": "50"}  # a GOMEMLIMIT near what it needs costs an idle weed a tenth of a core
    return Process.start(NAME, command, log=log, env=env, pass_fds=[lock])


def url(ports: Mapping[str, int]) -> str:
    return f"http://{LOOPBACK}:{ports['s3']}"


def await_ready(process: Process, ports: Mapping[str, int], until: float) -> None:
    """Waits until S3 answers and there is a volume server to write to. Raises StartError if it ends or is late."""
    while time.monotonic() < until:
        process.check()
        if _can_write(ports["master"]) and _status(ports["s3"], "/")[0] in (200, 403):
            return
        time.sleep(0.1)
    raise StartError(f"{NAME} did not become ready in time (log: {process.log})")


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Removes the Unix sockets that it leaves in the temporary folder."""
    grpc = [name for name in PORTS if name.endswith("_grpc")]
    for name in ("s3", "filer", *grpc):
        with contextlib.suppress(OSError):
            Path(_socket(name, ports)).unlink()


def _socket(name: str, ports: Mapping[str, int]) -> str:
    """The name that it gives to its own sockets; they must be short."""
    return f"/tmp/seaweedfs-{name.replace('_', '-')}-{ports[name]}.sock"  # noqa: S108


def _identities(settings: Settings) -> dict[str, object]:
    """One identity that may do everything. Bucket policies say what everybody may read."""
    credentials = {"accessKey": settings.s3_access_key, "secretKey": settings.s3_secret_key.get_secret_value()}
    return {"identities": [{"name": "photogram", "credentials": [credentials], "actions": ["Admin"]}]}


def _can_write(port: int) -> bool:
    status, body = _status(port, "/dir/status")
    if status != 200:
        return False
    topology = json.loads(body).get("Topology") or {}
    return bool(topology.get("DataCenters")) and int(topology.get("Max", 0)) > 0


def _status(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
