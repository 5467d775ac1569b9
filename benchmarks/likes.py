"""What likes and comments cost, and how fast counts follow: `python -m benchmarks.likes`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from random import Random
from typing import Annotated

import typer

from benchmarks.lib.apply_likes import apply_likes
from benchmarks.lib.count_lag import measure_count_lag
from benchmarks.lib.documents import users
from benchmarks.lib.like_world import BARE, Act, LikeWorld
from benchmarks.lib.loads import Load, Stopwatch, load_row
from benchmarks.lib.report import Table, rounds, show
from benchmarks.lib.servers import finish, servers, stores
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
    """Writes likes and comments by the store and by GraphQL, beside bare inserts, then counts them, also under load."""
    with servers() as settings:
        tables = finish(_measure(settings, repeat, callers, seed), LONGEST)
    show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, repeat: int, callers: int, seed: int) -> list[Table]:
    async with _liked(settings, seed) as liked:
        loads = await _writes(liked.ways(), repeat, callers)
        applied = await apply_likes(liked)
    empty = settings.model_copy(update={"mongo_database": "lags", "key_prefix": "lags:"})  # nothing is pending in it
    async with _liked(empty, seed) as liked:
        lag = await measure_count_lag(empty, liked, callers)
    bare = loads[BARE]
    columns = ["a second", "CPU ms, ours", "CPU ms, MongoDB's", "rate against bare", "CPU against bare"]
    writes = Table(f"Likes and comments, {callers} callers in one process", ["way", *columns])
    writes.rows += [load_row(way, of, bare) for way, of in loads.items()]
    work = Table("Counting and notifying likes, one process", ["work", *columns])
    work.rows += [load_row(name, [load] * len(bare), bare) for name, load in applied.items()]
    return [writes, work, lag]


@contextlib.asynccontextmanager
async def _liked(settings: Settings, seed: int) -> AsyncIterator[LikeWorld]:
    async with stores(settings) as sources:
        liked = LikeWorld(sources, await users(sources, AUTHORS), await users(sources, LIKERS), Random(seed))
        await liked.prepare()
        yield liked


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
