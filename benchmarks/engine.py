"""GraphQL engines alone, on a page of a feed in memory: `python -m benchmarks.engine`.

Each is one process with the same data, schema, operation and dataloader. They take turns, so whatever else the machine
does affects them all. Their answers are compared before anything is measured.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.lib.engine_peers import Peer, engines_in_process, engines_over_http
from benchmarks.lib.http_load import ask_all, connected, http_request
from benchmarks.lib.peer_data import write_peer_data
from benchmarks.lib.peer_processes import PeerProcess, peer_process
from benchmarks.lib.report import Table, median, show, times
from benchmarks.lib.servers import finish
from benchmarks.lib.turns import Cost, Way, take_turns

CONNECTIONS = 8
LONGEST = 900.0
FEED = (Path(__file__).parent / "peers" / "feed.graphql").read_text()
VARIABLES = {"first": 20, "after": None}


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all peers in turn.")] = 7,
    seconds: Annotated[float, typer.Option(min=5, help="For the rounds of each table.")] = 90.0,
    only: Annotated[list[str] | None, typer.Option(help="Only peers with this in their name. Repeatable.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Executes one operation by every engine, in process and over HTTP."""
    with TemporaryDirectory(prefix="photogram-peers-") as folder:
        data = Path(folder) / "data.json"
        write_peer_data(data)
        tables = [
            finish(_in_process(_chosen(engines_in_process(), only), data, repeat, seconds), LONGEST),
            finish(_over_http(_chosen(engines_over_http(), only), data, repeat, seconds), LONGEST),
        ]
    show(tables, ["graphql-core", "strawberry-graphql", "orjson", "uvicorn"], markdown=markdown)


def _chosen(peers: Mapping[str, Peer], only: list[str] | None) -> dict[str, Peer]:
    return {name: peer for name, peer in peers.items() if only is None or any(part in name for part in only)}


async def _in_process(peers: Mapping[str, Peer], data: Path, repeat: int, seconds: float) -> Table:
    def way(process: PeerProcess) -> Way:
        async def execute(count: int) -> Cost:
            before = process.cpu
            process.say(str(count))
            return ((process.cpu - before) / count,)

        return execute

    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(_started(peer, data, piped=True)) for name, peer in peers.items()}
        _compare({name: process.say("1") for name, process in processes.items()})
        costs = await take_turns({name: way(process) for name, process in processes.items()}, repeat, seconds)
        return _table("The engine in process, JSON included", costs, processes)


async def _over_http(peers: Mapping[str, Peer], data: Path, repeat: int, seconds: float) -> Table:
    request = http_request({"query": FEED, "operationName": "Feed", "variables": VARIABLES})

    def way(process: PeerProcess) -> Way:
        async def execute(count: int) -> Cost:
            async with connected(process.port, CONNECTIONS) as connections:
                before = process.cpu
                await ask_all(connections, [request] * count)
            return ((process.cpu - before) / count,)

        return execute

    async def answer(process: PeerProcess) -> bytes:
        async with connected(process.port, 1) as (connection,):
            return await connection.ask(request)

    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(_started(peer, data)) for name, peer in peers.items()}
        _compare({name: await answer(process) for name, process in processes.items()})
        costs = await take_turns({name: way(process) for name, process in processes.items()}, repeat, seconds)
        return _table("The engine over HTTP", costs, processes)


def _started(peer: Peer, data: Path, *, piped: bool = False) -> contextlib.AbstractContextManager[PeerProcess]:
    return peer_process(peer.command, {"PEERS_DATA": str(data), **peer.environment}, folder=peer.folder, piped=piped)


def _compare(answers: Mapping[str, bytes]) -> None:
    """Raises RuntimeError unless all answers are the same, keys in the same order."""
    texts = {name: json.dumps(json.loads(answer)) for name, answer in answers.items()}
    first = next(iter(texts))
    for name, text in texts.items():
        if text != texts[first] or '"errors"' in text:
            raise RuntimeError(f"{name} gives another answer than {first}: {text[:300]}")


def _table(title: str, costs: Mapping[str, list[Cost]], processes: Mapping[str, PeerProcess]) -> Table:
    """Cheapest first, each against the first peer, which ran in the same rounds."""
    first, *_ = costs
    table = Table(title, ["engine", "CPU ms a request", "least", "most", f"against {first}", "MiB"])
    each = {name: [cost[0] for cost in found] for name, found in costs.items()}
    for name in sorted(each, key=lambda name: median(each[name])):
        figures = [median(each[name]), min(each[name]), max(each[name])]
        memory = f"{processes[name].memory / 1024**2:.0f}"
        table.rows.append(
            [name, *(f"{1000 * figure:.3f}" for figure in figures), times(each[name], each[first]), memory]
        )
    return table


if __name__ == "__main__":
    typer.run(main)
