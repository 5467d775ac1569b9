"""How long after the last like a worker, in a process of its own, has the count right."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bson import ObjectId

from benchmarks.liked import Liked
from benchmarks.report import Table
from benchmarks.stack import until
from config import Settings
from deploy.local.environment import child_environment

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 2
BURST = 1.0  # seconds of likes before the last one
LONGEST = 30.0


async def lags(settings: Settings, liked: Liked, callers: int) -> Table:
    """Bursts of likes, on one post and on many, and the waits for their counts."""
    table = Table(
        f"Lag behind bursts of {BURST} s, one worker process for counts and notifications",
        ["likes of", "likes/s", "lag in s, each round"],
    )
    async with _worker(settings):
        await _burst(liked, await liked.fresh_posts(1), 1, 0.0)  # until it is up
        for name, count in (("one post", 1), ("150 posts of 150 authors", 150)):
            found = [await _burst(liked, await liked.fresh_posts(count), callers, BURST) for _ in range(ROUNDS)]
            rates = ", ".join(f"{rate:,.0f}" for rate, _ in found)
            table.rows.append([name, rates, ", ".join(f"{lag:.2f}" for _, lag in found)])
    return table


async def _burst(liked: Liked, post_ids: list[ObjectId], callers: int, seconds: float) -> tuple[float, float]:
    """Likes a second, and seconds from the last like to the last count."""
    started, done = time.monotonic(), 0

    async def call() -> None:
        nonlocal done
        while True:
            done += 1
            await liked.store(post_ids[done % len(post_ids)])
            if time.monotonic() >= started + seconds:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    ended = time.monotonic()
    collection = liked.sources.database["posts"]
    total: list[dict[str, Any]] = [
        {"$match": {"_id": {"$in": post_ids}}},
        {"$group": {"_id": None, "likes": {"$sum": "$like_count"}}},
    ]

    async def is_counted() -> bool:
        rows = await (await collection.aggregate(total)).to_list()
        return bool(rows[0]["likes"] == done)

    await until(is_counted, LONGEST)
    return done / (ended - started), time.monotonic() - ended


@contextlib.asynccontextmanager
async def _worker(settings: Settings) -> AsyncIterator[None]:
    command = (sys.executable, "-m", "deploy.cli", "worker", "counters", "notifications", "sweeper")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=child_environment(settings))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), settings.drain_timeout + 5)
        except TimeoutError:
            process.kill()
            await process.wait()
