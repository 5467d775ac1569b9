"""What fan-out costs, and where pushing should end: `python -m benchmarks.fan_out`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import psutil
import typer
from bson import ObjectId

from benchmarks.lib.bare_fan_out import insert_bare, run_job_per_follower
from benchmarks.lib.documents import insert, post, users
from benchmarks.lib.entry_bytes import measure_entry_bytes
from benchmarks.lib.loads import Load, Stopwatch, costs_of, load_row
from benchmarks.lib.push_limits import measure_push_limits
from benchmarks.lib.report import Table, median, rounds, show
from benchmarks.lib.servers import finish, servers, stores, widen_cache
from benchmarks.lib.unit_costs import Save, save_unit_costs
from config import Settings
from datasources.feed.feed_states import HOLDS_ALL
from datasources.jobs.outbox import pending_fields
from datasources.jobs.redis_queue import stream_key
from datasources.mongo import clock
from datasources.sources import Sources
from deploy.local.environment import child_environment
from domain.jobs import Fact, Task
from tests.support.api_process import cpu_seconds
from tests.support.stack import ROOT
from tests.support.waiting import eventually

CASES = {10: 50, 1_000: 20, 10_000: 10}  # posts of a round by the author's followers
JOBS = 2_000  # at most, of a job for each follower: they take long
BUDGET = 90.0  # seconds of rounds
PATIENCE = 120.0
POLL = 0.005
LONGEST = 900.0  # seconds for everything, on however busy a machine

Way = Callable[[ObjectId, Sequence[ObjectId], int], Awaitable[Load]]


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 5,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Fans posts out by real worker processes, beside bare inserts of the same rows and a job for each follower."""
    with servers() as settings:
        tables = finish(_measure(settings.model_copy(update={"feed_push_limit": 10**9}), repeat, save=save), LONGEST)
    show(tables, ["pymongo", "redis"], markdown=markdown)


async def _measure(settings: Settings, repeat: int, *, save: bool) -> list[Table]:
    async with stores(settings) as sources:
        await widen_cache(sources)
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
        return [
            table,
            await measure_entry_bytes(sources),
            *await measure_push_limits(sources, cpu, rate, save=save),
        ]


async def _rates(sources: Sources, repeat: int) -> dict[int, dict[str, list[Load]]]:
    """Loads by the number of followers and the way; the ways take turns."""
    loads: dict[int, dict[str, list[Load]]] = {followers: {} for followers in CASES}
    people = {followers: await _author_with_followers(sources, followers) for followers in CASES}
    for _ in rounds(repeat, BUDGET):
        for followers, posts in CASES.items():
            author, owners = people[followers]
            mine = loads[followers]
            mine.setdefault("insert_many of the same rows", []).append(
                await insert_bare(sources, author, owners, posts)
            )
            for number, name in ((1, "one worker"), (2, "two workers")):
                async with _workers(sources, number) as workers:
                    await _fan_out(sources, workers, author, posts, len(owners))  # opens their connections
                    mine.setdefault(name, []).append(await _fan_out(sources, workers, author, posts, len(owners)))
            batch = owners[:JOBS]
            mine.setdefault("a job for each follower", []).append(await run_job_per_follower(sources, author, batch))
    return loads


async def _author_with_followers(sources: Sources, followers: int) -> tuple[ObjectId, list[ObjectId]]:
    """An author, and their followers, whose feeds are live."""
    (author,) = await users(sources, 1)
    await sources.database["users"].update_one({"_id": author}, {"$set": {"follower_count": followers}})
    owners, now = [ObjectId() for _ in range(followers)], clock.now()
    ends = [{"follower_id": owner, "followee_id": author} for owner in owners]
    await insert(sources, "follows", [{**pair, "state": "FOLLOWING", "version": 1} for pair in ends])
    await insert(sources, "followers", [{"_id": {"u": author, "f": owner}} for owner in owners])
    kept = {"live": True, "floor": HOLDS_ALL, "seen_at": now, "version": 1}
    await insert(sources, "feeds", [{"_id": owner, **kept} for owner in owners])
    return author, owners


@asynccontextmanager
async def _workers(sources: Sources, number: int) -> AsyncIterator[list[psutil.Process]]:
    """Processes of the feed worker, all of which read the stream."""
    command = [sys.executable, "-m", "deploy.cli", "worker", "feed"]
    env, group = child_environment(sources.settings), stream_key(sources.settings.key_prefix, "feed")

    async def all_read() -> bool:
        redis = sources.redis.queue.of(group)
        groups = await redis.xinfo_groups(group) if await redis.exists(group) else []
        return bool(sum(group["consumers"] for group in groups) == number)

    started = [
        await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=asyncio.subprocess.DEVNULL)
        for _ in range(number)
    ]
    try:
        await eventually(all_read, seconds=PATIENCE, every=POLL)
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            await process.wait()


async def _fan_out(
    sources: Sources, workers: Sequence[psutil.Process], author: ObjectId, posts: int, followers: int
) -> Load:
    rows = [post(author) | pending_fields([Task.FAN_OUT], clock.now()) for _ in range(posts)]
    await insert(sources, "posts", rows)
    watch, cpu = Stopwatch(), _cpu(workers)
    await sources.job_queue.enqueue_pending(Fact.POST, rows)
    await eventually(lambda: _is_done(sources, rows), seconds=PATIENCE, every=POLL)
    load = watch.load(posts * followers)
    return Load(load.done, load.seconds, _cpu(workers) - cpu, load.mongo_cpu)


async def _is_done(sources: Sources, rows: Sequence[dict[str, Any]]) -> bool:
    query = {"_id": {"$in": [row["_id"] for row in rows]}, "outbox": Task.FAN_OUT.value}
    return await sources.database["posts"].find_one(query, {"_id": 1}) is None


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(cpu_seconds(process) for process in processes)


if __name__ == "__main__":
    typer.run(main)
