"""Who takes part in `benchmarks.engine`, and how each is started."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lib.peer_install import ROOT, node_folder, peers_python
from benchmarks.lib.peer_processes import PORT
from deploy.local.ports import LOOPBACK

PYTHON_PEERS = "benchmarks.peers.python"


@dataclass(frozen=True)
class Peer:
    """A command, and what its environment says beside the place of the data."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path = ROOT


def engines_in_process() -> dict[str, Peer]:
    """Processes that execute the operation as often as each line of their input says."""
    return {
        "graphql-jit (Node)": _node("in_process.mjs", "graphql-jit"),
        "by hand + orjson": _in_process("by_hand"),
        "ours over dictionaries": _in_process("compiled_dictionaries"),
        "graphql-js (Node)": _node("in_process.mjs", "graphql-js"),
        "graphql-core over dictionaries": _in_process("core_dictionaries"),
    }


def engines_over_http() -> dict[str, Peer]:
    """Servers of GraphQL over HTTP."""
    return {
        "Mercurius + graphql-jit (Node)": _node("server.mjs", "mercurius-jit", PORT),
        "by hand + orjson": _uvicorn(sys.executable, "bare_server", "by_hand"),
        "ours over dictionaries": _uvicorn(sys.executable, "bare_server", "compiled_dictionaries"),
        "Mercurius (Node)": _node("server.mjs", "mercurius", PORT),
        "GraphQL Yoga (Node)": _node("server.mjs", "yoga", PORT),
        "Apollo (Node)": _node("server.mjs", "apollo", PORT),
        "graphql-core over dictionaries": _uvicorn(sys.executable, "bare_server", "core_dictionaries"),
        "Strawberry, ParserCache and ValidationCache": _packaged("strawberry_server", "strawberry-cached"),
        "Strawberry": _packaged("strawberry_server", "strawberry"),
        "Ariadne": _packaged("ariadne_server", "ariadne"),
    }


def _node(*command: str) -> Peer:
    return Peer(["node", *command], {"NODE_ENV": "production"}, node_folder())


def _in_process(module: str) -> Peer:
    return Peer([sys.executable, "-m", f"{PYTHON_PEERS}.in_process", module], {})


def _packaged(module: str, peer: str) -> Peer:
    return _uvicorn(str(peers_python()), module, peer)


def _uvicorn(python: str, module: str, peer: str) -> Peer:
    app = f"{PYTHON_PEERS}.{module}:app"
    options = ["--host", LOOPBACK, "--port", PORT, "--loop", "uvloop", "--http", "httptools", "--ws", "none"]
    return Peer([python, "-m", "uvicorn", app, *options, "--log-level", "warning", "--no-access-log"], {"PEER": peer})
