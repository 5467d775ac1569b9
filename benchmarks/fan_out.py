"""What fan-out costs, and where pushing should end: `python -m benchmarks.fan_out`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from bson import ObjectId

from benchmarks.lib.bare_fan_out import a_job_per_follower, bare
from benchmarks.lib.documents import insert, post, users
from benchmarks.lib.entry_bytes import stored
from benchmarks.lib.push_limits import thresholds
from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.servers import Load, Stopwatch, finish, servers, stores, until, widen_cache
from config import Settings
from datasources.feed.states import HOLDS_ALL
from datasources.jobs.outbox import pending_fields
from datasources.jobs.queue import stream_key
from datasources.sources import Sources
from deploy.local.environment import child_environment
from domain.jobs import Fact, Task, jobs_of

CASES = {10: 50, 1_000: 20, 10_000: 10}  # posts of a round by the author's followers
JOBS = 2_000  # of a job per follower no more, for it takes so long
BUDGET = 90.0  # seconds of rounds
PATIENCE = 120.0
LONGEST = 900.0  # seconds for everything, on however busy a machine
ROOT = Path(__file__).parents[1]

Way = Callable[[ObjectId, Sequence[ObjectId], int], Awaitable[Load]]


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 5,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Fans posts out by real worker processes, beside bare inserts of the same rows and a job for each follower."""
    with servers() as settings:
        tables = finish(_measure(settings.model_copy(update={"feed_push_limit": 10**9}), repeat), LONGEST)
    show(tables, ["pymongo", "redis"], markdown=markdown)


async def _measure(settings: Settings, repeat: int) -> list[Table]:
    async with stores(settings) as sources:
        await widen_cache(sources)
        loads = await _rates(sources, repeat)
        table = Table(
            "Fan-out of posts, from the ring to the last entry",
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
            table.rows += [_row(f"{followers:,}, {way}", of, base) for way, of in loads[followers].items()]
        ours = loads[10_000]["one worker"]
        return [
            table,
            await stored(sources),
            *await thresholds(sources, median([load.cpu for load in ours]), median([load.rate for load in ours])),
        ]


async def _rates(sources: Sources, repeat: int) -> dict[int, dict[str, list[Load]]]:
    """Loads by the number of followers and the way; the ways take turns."""
    loads: dict[int, dict[str, list[Load]]] = {followers: {} for followers in CASES}
    people = {followers: await _followed(sources, followers) for followers in CASES}
    for _ in rounds(repeat, BUDGET):
        for followers, posts in CASES.items():
            author, owners = people[followers]
            mine = loads[followers]
            mine.setdefault("insert_many of the same rows", []).append(await bare(sources, author, owners, posts))
            for number, name in ((1, "one worker"), (2, "two workers")):
                async with _workers(sources, number) as workers:
                    await _fanned_out(sources, workers, author, posts, len(owners))  # opens their connections
                    mine.setdefault(name, []).append(await _fanned_out(sources, workers, author, posts, len(owners)))
            some = owners[:JOBS]
            mine.setdefault("a job for each follower", []).append(await a_job_per_follower(sources, author, some))
    return loads


async def _followed(sources: Sources, followers: int) -> tuple[ObjectId, list[ObjectId]]:
    """An author, and their followers, whose feeds are live."""
    (author,) = await users(sources, 1)
    await sources.database["users"].update_one({"_id": author}, {"$set": {"follower_count": followers}})
    owners, now = [ObjectId() for _ in range(followers)], datetime.now(UTC)
    ends = [{"follower_id": one, "followee_id": author} for one in owners]
    await insert(sources, "follows", [{**pair, "state": "FOLLOWING", "version": 1} for pair in ends])
    kept = {"live": True, "floor": HOLDS_ALL, "seen_at": now, "version": 1}
    await insert(sources, "feeds", [{"_id": one, **kept} for one in owners])
    return author, owners


@asynccontextmanager
async def _workers(sources: Sources, number: int) -> AsyncIterator[list[psutil.Process]]:
    """So many processes of the feed worker, all of which have begun to read."""
    command = [sys.executable, "-m", "deploy.cli", "worker", "feed"]
    env, group = child_environment(sources.settings), stream_key(sources.settings.key_prefix, "feed")

    async def all_read() -> bool:
        groups = await sources.redis.xinfo_groups(group) if await sources.redis.exists(group) else []
        return bool(sum(one["consumers"] for one in groups) == number)

    started = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=asyncio.subprocess.DEVNULL)
        for _ in range(number)
    ]
    try:
        await until(all_read, PATIENCE)
        yield [psutil.Process(one.pid) for one in started]
    finally:
        for one in started:
            one.terminate()
        for one in started:
            await one.wait()


async def _fanned_out(
    sources: Sources, workers: Sequence[psutil.Process], author: ObjectId, posts: int, followers: int
) -> Load:
    rows = [post(author) | pending_fields([Task.FAN_OUT], datetime.now(UTC)) for _ in range(posts)]
    await insert(sources, "posts", rows)
    watch, cpu = Stopwatch(), _cpu(workers)
    await sources.job_queue.enqueue(job for row in rows for job in jobs_of(Fact.POST, row))
    await until(lambda: _is_done(sources, rows), PATIENCE)
    load = watch.load(posts * followers)
    return Load(load.done, load.seconds, _cpu(workers) - cpu, load.mongo_cpu)


async def _is_done(sources: Sources, rows: Sequence[dict[str, Any]]) -> bool:
    query = {"_id": {"$in": [row["_id"] for row in rows]}, "outbox": Task.FAN_OUT.value}
    return await sources.database["posts"].find_one(query, {"_id": 1}) is None


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(one.cpu_times().user + one.cpu_times().system for one in processes)


def _row(name: str, loads: Sequence[Load], base: Sequence[Load]) -> list[str]:
    return [
        name,
        f"{median([load.rate for load in loads]):,.0f}",
        f"{median([load.own_cpu / load.done for load in loads]) * 1e6:.1f}",
        f"{median([load.mongo_cpu / load.done for load in loads]) * 1e6:.1f}",
        times([load.rate for load in loads], [load.rate for load in base]),
        times([load.cpu for load in loads], [load.cpu for load in base]),
    ]


if __name__ == "__main__":
    typer.run(main)
