"""What requests cost over HTTP, beside older checkouts and a Node server: `python -m benchmarks.product`.

All servers share MongoDB, Valkey and one database, and their answers are compared before anything is measured. They
take turns, so whatever else the machine does affects them all.
"""

import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from redis.asyncio import Redis

from benchmarks.lib.checkouts import LAUNCHER
from benchmarks.lib.http_load import ask_all, ask_at_rate, connected
from benchmarks.lib.product_requests import Operation, operations
from benchmarks.lib.product_sides import MERCURIUS, NOW, Servers, compare, mercurius, product_sides, way
from benchmarks.lib.product_world import DEMO, RICH, make_crowd, make_scene
from benchmarks.lib.report import Table, median, percentile, rounds, show, times
from benchmarks.lib.request_steps import request_steps, sampled_launcher
from benchmarks.lib.servers import finish, servers, stores
from benchmarks.lib.turns import Cost, take_turns
from benchmarks.lib.unit_costs import Save, save_unit_costs
from config import Settings

LONGEST = 3_600.0
BUDGET = 60.0  # seconds of the rounds of one operation
DATABASE = "product"
URL_TTL = 3_600  # so that no interval of signed addresses ends during a comparison, but seldom
AT_HALF_LOAD = ("feed, demo", "post", "likePost")
CONNECTIONS = 16  # to find out what a server can do
MOST_CONNECTIONS = 64
TRIAL, SATURATING = 30, 200  # requests, before it counts and when it does
FEWEST = 200  # requests that have a p99


def main(  # noqa: PLR0913, PLR0917  options of a command
    before: Annotated[list[Path] | None, typer.Option(help="An older checkout with its `.venv`. Repeatable.")] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="This checkout with one more setting, as PHOTOGRAM_NAME=VALUE. Repeatable.")
    ] = None,
    peer: Annotated[bool, typer.Option(help="Whether Mercurius takes part; needs Node 20 and npm.")] = True,
    only: Annotated[list[str] | None, typer.Option(help="Operations with this in their name. Repeatable.")] = None,
    repeat: Annotated[int, typer.Option("--rounds", min=1, help="Rounds, each of all servers in turn.")] = 7,
    load_seconds: Annotated[float, typer.Option(min=0, help="Of each round at half load; 0 leaves it out.")] = 6.0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show which steps of a request take the time, and nothing else.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Sends the product's commonest operations to each server in turn and counts what they take."""
    with servers() as running, contextlib.ExitStack() as stack:
        settings = running.model_copy(update={"mongo_database": DATABASE, "signed_url_ttl": URL_TTL})
        every = finish(_fill(settings), LONGEST)
        chosen = [each for each in every if not only or any(part in each.name for part in only)]
        samples = Path(stack.enter_context(TemporaryDirectory())) if profile else None
        launcher = sampled_launcher(samples) if samples else LAUNCHER
        sides = stack.enter_context(product_sides(settings, before or [], also or [], launcher))
        if samples:
            tables = finish(_profile(settings, sides, chosen, repeat, samples), LONGEST)
        else:
            if peer:
                sides[MERCURIUS] = stack.enter_context(mercurius(settings))
            tables = finish(_measure(settings, sides, chosen, repeat, load_seconds, save=save), LONGEST)
    show(tables, ["graphql-core", "strawberry-graphql", "pymongo", "redis", "uvicorn"], markdown=markdown)


async def _fill(settings: Settings) -> list[Operation]:
    async with stores(settings) as sources:
        return operations(await make_scene(sources, DEMO), await make_scene(sources, RICH), await make_crowd(sources))


async def _measure(
    settings: Settings, sides: Servers, chosen: Sequence[Operation], repeat: int, load_seconds: float, *, save: bool
) -> list[Table]:
    async with Redis.from_url(settings.redis_url) as redis:
        sizes = await compare(sides, chosen)
        costs: dict[bool, dict[str, dict[str, list[Cost]]]] = {False: {}, True: {}}
        for cold, operation in itertools.product((False, True), chosen):
            if not (cold and operation.writes):
                ways = {name: way(server, operation, redis, cold=cold) for name, server in sides.items()}
                costs[cold][operation.name] = await take_turns(ways, repeat, BUDGET)
    if save:
        save_unit_costs(_unit_costs(costs))
    titles = {False: "Warm", True: "Redis emptied before each request"}
    tables = [_sizes(sizes), *(_costs(titles[cold], sides, costs[cold]) for cold in titles)]
    loaded = [each for each in chosen if each.name in AT_HALF_LOAD]
    if load_seconds and loaded:
        tables.append(await _half_load(sides, loaded, repeat, load_seconds))
    return tables


def _unit_costs(costs: Mapping[bool, Mapping[str, Mapping[str, Sequence[Cost]]]]) -> dict[str, dict[str, float]]:
    names = ("api_ms", "mongodb_ms", "redis_ms")
    return {
        f"{operation}: {'Redis empty' if cold else 'warm'}": {
            name: 1000 * median(values) for name, values in zip(names, zip(*by_server[NOW], strict=True), strict=True)
        }
        for cold, by_operation in costs.items()
        for operation, by_server in by_operation.items()
    }


async def _profile(
    settings: Settings, sides: Servers, chosen: Sequence[Operation], repeat: int, samples: Path
) -> list[Table]:
    async with Redis.from_url(settings.redis_url) as redis:
        await compare(sides, chosen)
        tables = []
        for operation in chosen:
            ways = {name: way(server, operation, redis, cold=False) for name, server in sides.items()}
            tables.append(await request_steps(operation.name, sides, ways, repeat, samples))
    return tables


def _sizes(sizes: Mapping[str, tuple[int, int]]) -> Table:
    table = Table("The answers' data", ["operation", "fields", "kB"])
    table.rows += [[name, f"{fields:,}", f"{size / 1000:.1f}"] for name, (fields, size) in sizes.items()]
    return table


def _costs(title: str, sides: Servers, costs: Mapping[str, Mapping[str, Sequence[Cost]]]) -> Table:
    """A row an operation: what each server, MongoDB and Redis take, then this checkout against each other server."""
    spent = [f"{name}: {what}" for name in sides for what in ("CPU ms (least to most)", "of MongoDB + Redis")]
    against = [f"{NOW} / {name}" for name in sides if name != NOW]
    table = Table(f"{title}, one request at a time", ["operation", *spent, *against])
    for operation, by_server in costs.items():
        own = {name: [cost[0] for cost in each] for name, each in by_server.items()}
        row = [operation]
        for name, each in by_server.items():
            milliseconds = [1000 * value for value in own[name]]
            mongo, redis = (1000 * median(values) for values in list(zip(*each, strict=True))[1:])
            row.append(f"{median(milliseconds):.2f} ({min(milliseconds):.2f} to {max(milliseconds):.2f})")
            row.append(f"{mongo:.2f} + {redis:.2f}")
        table.rows.append([*row, *(times(own[NOW], own[name]) for name in sides if name != NOW)])
    return table


async def _half_load(sides: Servers, loaded: Sequence[Operation], repeat: int, seconds: float) -> Table:
    """What answers take at even intervals, half as often as the server could give them a moment ago."""
    columns = ["answers/s at most", "sent/s", "p50 ms", "p99 ms", "p99 / p50"]
    table = Table("At half load, medians of the rounds", ["operation, server", *columns])
    for operation in loaded:
        found: dict[str, list[Sequence[float]]] = {name: [] for name in sides}
        for _ in rounds(repeat, BUDGET * len(sides)):
            for name, server in sides.items():
                most = await _most(server.port, operation)
                requests = list(itertools.islice(operation.requests, max(FEWEST, round(most / 2 * seconds))))
                async with connected(server.port, MOST_CONNECTIONS) as connections:
                    waits = await ask_at_rate(connections, requests, most / 2)
                p50, p99 = (percentile(waits, percent) * 1000 for percent in (50, 99))
                found[name].append((most, most / 2, p50, p99, p99 / p50))
        for name, each in found.items():
            most, sent, p50, p99, ratio = map(median, zip(*each, strict=True))
            shown = [f"{most:,.0f}", f"{sent:,.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{ratio:.1f}"]
            table.rows.append([f"{operation.name}: {name}", *shown])
    return table


async def _most(port: int, operation: Operation) -> float:
    """Answers a second when all connections ask all the time."""
    async with connected(port, CONNECTIONS) as connections:
        for count in (TRIAL, SATURATING):
            began = time.perf_counter()
            await ask_all(connections, list(itertools.islice(operation.requests, count)))
    return SATURATING / (time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
