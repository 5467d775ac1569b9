"""Installs the peers' packages, as their lock files pin them, into `.peers` beside the sources."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "benchmarks" / "peers"
INSTALLED = ROOT / ".peers"
INSTALL_SECONDS = 600


def node_folder() -> Path:
    """The folder with the Node peers and their packages. Raises RuntimeError without Node.

    Modules are found beside the file that imports them, so the sources are copied there.
    """
    if shutil.which("npm") is None:
        raise RuntimeError("Node.js and npm are needed: apt-get install nodejs npm")
    folder = INSTALLED / "node"

    def install() -> None:
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], folder)

    folder.mkdir(parents=True, exist_ok=True)
    for source in (SOURCES / "node").iterdir():
        shutil.copy(source, folder)
    for source in SOURCES.glob("*.graphql"):
        shutil.copy(source, INSTALLED)
    _once(folder / "package-lock.json", folder / ".installed", install)
    return folder


def peers_python() -> Path:
    """The interpreter of an environment that has the Python peers' packages."""
    folder, requirements = INSTALLED / "python", SOURCES / "python" / "requirements.txt"
    python = folder / "bin" / "python"

    def install() -> None:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], ROOT)
        options = ["--quiet", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        _run([str(python), "-m", "pip", "install", *options, "-r", str(requirements)], ROOT)

    _once(requirements, folder / ".installed", install)
    return python


def _once(lock: Path, mark: Path, install: Callable[[], None]) -> None:
    """Calls `install` unless it was done for this lock file."""
    pinned = hashlib.sha256(lock.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == pinned:
        return
    print(f"installing {lock.relative_to(ROOT)} into {INSTALLED.name} ...", file=sys.stderr)
    install()
    mark.write_text(pinned)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_SECONDS)
