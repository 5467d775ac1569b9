"""What fan-out costs, and where pushing should end: `python -m benchmarks.fan_out`."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Annotated

import psutil
import typer
from bson import ObjectId

from benchmarks.lib.bare_fan_out import insert_bare, run_job_per_follower
from benchmarks.lib.entry_bytes import measure_entry_bytes
from benchmarks.lib.fan_out_world import (
    PATIENCE,
    POLL,
    RELAY,
    author_with_followers,
    pending_among,
    publish,
    worker_processes,
)
from benchmarks.lib.following_limits import measure_following_limits
from benchmarks.lib.large_fan_outs import RECOMMENDED, WAYS, measure_large_fan_outs
from benchmarks.lib.loads import Load, Stopwatch, costs_of, load_row
from benchmarks.lib.push_limits import measure_push_limits
from benchmarks.lib.report import Table, median, rounds, show
from benchmarks.lib.servers import finish, servers, stores, widen_cache
from benchmarks.lib.unit_costs import Save, save_unit_costs
from config import Settings
from datasources.sources import Sources
from domain.jobs import Fact
from tests.support.api_process import cpu_seconds
from tests.support.waiting import eventually

CASES = {10: 50, 1_000: 20, 10_000: 10}  # posts of a round by the author's followers
JOBS = 2_000  # at most, of a job for each follower: they take long
BUDGET = 90.0  # seconds of rounds
LONGEST = 5_400.0  # seconds for everything, on however busy a machine

Way = Callable[[ObjectId, Sequence[ObjectId], int], Awaitable[Load]]


class Part(StrEnum):
    """What is measured."""

    COSTS = "costs"  # of an entry, and by these where pushing should end
    FOLLOWING = "following"  # where pushing to a reader should end
    LARGE = "large"  # a post to very many among posts to few
    LANE = "lane"  # the same in the recommended way alone


def main(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to measure; by default all.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 5,
    followers: Annotated[int, typer.Option(min=1, help="Those of the author of large posts.")] = 100_000,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Fans posts out by real worker processes, beside bare inserts of the same rows and a job for each follower."""
    with servers() as settings:
        unlimited = settings.model_copy(update={"feed_push_limit": 10**9})
        work = _measure(unlimited, parts or [Part.COSTS, Part.FOLLOWING, Part.LARGE], repeat, followers, save=save)
        tables = finish(work, LONGEST)
    show(tables, ["pymongo", "redis"], markdown=markdown)


async def _measure(
    settings: Settings, parts: Sequence[Part], repeat: int, followers: int, *, save: bool
) -> list[Table]:
    tables = list[Table]()
    async with stores(settings) as sources:
        await widen_cache(sources)
        if Part.COSTS in parts:
            tables += await _costs(sources, repeat, save=save)
        if Part.FOLLOWING in parts:
            tables.append(await measure_following_limits(sources))
        if Part.LARGE in parts:
            tables.append(await measure_large_fan_outs(sources, followers, repeat, WAYS))
        if Part.LANE in parts:
            tables.append(await measure_large_fan_outs(sources, followers, repeat, RECOMMENDED))
    return tables


async def _costs(sources: Sources, repeat: int, *, save: bool) -> list[Table]:
    loads = await _rates(sources, repeat)
    table = Table(
        "Fan-out of posts, from the job to the last entry",
        [
            "followers, way",
            "entries/s",
            "CPU us, ours",
            "CPU us, MongoDB's",
            "rate against bare",
            "CPU against bare",
        ],
    )
    for followers in CASES:
        base = loads[followers]["insert_many of the same rows"]
        table.rows += [
            load_row(f"{followers:,}, {way}", of, base, unit=1e6, digits=1) for way, of in loads[followers].items()
        ]
    if save:
        alone = {followers: costs_of(of["one worker"]) for followers, of in loads.items()}
        save_unit_costs({f"an entry, {followers:,} followers": costs for followers, costs in alone.items()})
    ours = loads[10_000]["one worker"]
    cpu, rate = median([load.cpu for load in ours]), median([load.rate for load in ours])
    return [table, await measure_entry_bytes(sources), *await measure_push_limits(sources, cpu, rate, save=save)]


async def _rates(sources: Sources, repeat: int) -> dict[int, dict[str, list[Load]]]:
    """Loads by the number of followers and the way; the ways take turns."""
    loads: dict[int, dict[str, list[Load]]] = {followers: {} for followers in CASES}
    people = {followers: await author_with_followers(sources, followers) for followers in CASES}
    for _ in rounds(repeat, BUDGET):
        for followers, posts in CASES.items():
            author, owners = people[followers]
            mine = loads[followers]
            mine.setdefault("insert_many of the same rows", []).append(
                await insert_bare(sources, author, owners, posts)
            )
            for number, name in ((1, "one worker"), (2, "two workers")):
                processes = [["feed", "large_fan_outs", RELAY], *[["feed", "large_fan_outs"]] * (number - 1)]
                async with worker_processes(sources, *processes) as workers:
                    await _fan_out(sources, workers, author, posts, len(owners))  # opens their connections
                    mine.setdefault(name, []).append(await _fan_out(sources, workers, author, posts, len(owners)))
            batch = owners[:JOBS]
            mine.setdefault("a job for each follower", []).append(await run_job_per_follower(sources, author, batch))
    return loads


async def _fan_out(
    sources: Sources, workers: Sequence[psutil.Process], author: ObjectId, posts: int, followers: int
) -> Load:
    rows = await publish(sources, author, posts)
    watch, cpu = Stopwatch(), _cpu(workers)
    await sources.job_queue.enqueue_pending(Fact.POST, rows)
    post_ids = [row["_id"] for row in rows]

    async def is_done() -> bool:
        return not await pending_among(sources, post_ids)

    await eventually(is_done, seconds=PATIENCE, every=POLL)
    load = watch.load(posts * followers)
    return Load(load.done, load.seconds, _cpu(workers) - cpu, load.mongo_cpu)


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(cpu_seconds(process) for process in processes)


if __name__ == "__main__":
    typer.run(main)
