"""What likes and comments cost, and how fast counts follow: `python -m benchmarks.likes`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Annotated

import typer

from benchmarks.lib.apply_likes import applying
from benchmarks.lib.count_lag import lags
from benchmarks.lib.documents import users
from benchmarks.lib.like_world import BARE, Act, Liked
from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.servers import Load, Stopwatch, finish, servers, stores
from config import Settings

LIKERS = 5_000
TURN = 0.6  # seconds that one way likes at a stretch
BUDGET = 30.0  # seconds of rounds
AUTHORS = 200
LONGEST = 240.0  # seconds for everything, on however busy a machine


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 5,
    callers: Annotated[int, typer.Option(min=1, help="How many like at the same time.")] = 32,
    seed: Annotated[int, typer.Option(help="Which posts are liked.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Likes and comments by the store and by GraphQL, beside bare inserts; then settling, and the lag under load."""
    with servers() as settings:
        tables = finish(_measure(settings, repeat, callers, seed), LONGEST)
    show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, repeat: int, callers: int, seed: int) -> list[Table]:
    async with _liked(settings, seed) as liked:
        loads = await _writes(liked.ways(), repeat, callers)
        applied = await applying(liked)
    empty = settings.model_copy(update={"mongo_database": "lags", "key_prefix": "lags:"})  # nothing is owed in it
    async with _liked(empty, seed) as liked:
        late = await lags(empty, liked, callers)
    bare = loads[BARE]
    columns = ["a second", "CPU ms, ours", "CPU ms, MongoDB's", "rate against bare", "CPU against bare"]
    writes = Table(f"Likes and comments, {callers} callers in one process", ["way", *columns])
    writes.rows += [_row(way, of, bare) for way, of in loads.items()]
    work = Table("Settling what likes owe, one process", ["work", *columns])
    work.rows += [_row(name, [load] * len(bare), bare) for name, load in applied.items()]
    return [writes, work, late]


@contextlib.asynccontextmanager
async def _liked(settings: Settings, seed: int) -> AsyncIterator[Liked]:
    async with stores(settings) as sources:
        liked = Liked(sources, await users(sources, AUTHORS), await users(sources, LIKERS), Random(seed))
        await liked.prepare()
        yield liked


def _row(name: str, loads: Sequence[Load], bare: Sequence[Load]) -> list[str]:
    return [
        name,
        f"{median([load.rate for load in loads]):,.0f}",
        f"{median([load.own_cpu / load.done * 1000 for load in loads]):.2f}",
        f"{median([load.mongo_cpu / load.done * 1000 for load in loads]):.2f}",
        times([load.rate for load in loads], [load.rate for load in bare]),
        times([load.cpu for load in loads], [load.cpu for load in bare]),
    ]


async def _writes(ways: dict[str, Act], repeat: int, callers: int) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in ways}
    for act in ways.values():
        await _drive(act, callers, 0.2)
    for _ in rounds(repeat, BUDGET):
        for name, act in ways.items():
            loads[name].append(await _drive(act, callers, TURN))
    return loads


async def _drive(act: Act, callers: int, seconds: float) -> Load:
    end, done = time.monotonic() + seconds, 0

    async def call() -> None:
        nonlocal done
        while time.monotonic() < end:
            await act()
            done += 1

    watch = Stopwatch()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    return watch.load(done)


if __name__ == "__main__":
    typer.run(main)
