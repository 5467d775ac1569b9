"""How long likes and comments wait, under load, until a worker in a process of its own has counted them."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from bson import ObjectId

from benchmarks.lib.like_world import LikeWorld
from benchmarks.lib.report import Table, percentile
from config import Settings
from datasources.mongo.client import Document
from deploy.local.environment import child_environment
from domain.jobs import Task
from tests.support.stack import ROOT
from tests.support.waiting import eventually

BURST = 5.0  # seconds of load
SAMPLED = 40  # one act in so many is followed until it is counted
POLL = 0.005  # seconds between two reads of it
LONGEST = 60.0

Act = Callable[[ObjectId], Awaitable[Document]]  # does it to a post; what the fact is found by


async def measure_count_lag(settings: Settings, liked: LikeWorld, callers: int) -> Table:
    """Likes and comments as fast as they go, on one post and on many, and how long each waits to be counted."""
    table = Table(
        f"Lag under {BURST:.0f} s of load, one worker process for counts and notifications",
        ["what", "acts/s", "lag p50 s", "p99 s", "all counted after the last, s"],
    )
    acts: dict[str, tuple[str, Act]] = {
        "likes": ("post_likes", liked.like),
        "comments": ("comments", liked.comment),
    }
    async with worker_process(settings):
        await _load(liked, liked.like, "post_likes", await liked.create_posts(1), 1, 0.0)  # until it is up
        for name, (collection, act) in acts.items():
            for where, count in (("one post", 1), ("2,000 posts", 2_000)):
                post_ids = await liked.create_posts(count)
                done, waits, rest = await _load(liked, act, collection, post_ids, callers, BURST)
                lag = [f"{percentile(waits, percent):.2f}" for percent in (50, 99)]
                table.rows.append([f"{name}, {where}", f"{done / BURST:,.0f}", *lag, f"{rest:.2f}"])
    return table


async def _load(
    liked: LikeWorld, act: Act, collection: str, post_ids: Sequence[ObjectId], callers: int, seconds: float
) -> tuple[int, list[float], float]:
    """Returns how many acts there were, how long the sampled ones waited for their count, and the last of all."""
    facts, pending = liked.sources.database[collection], {"outbox": Task.COUNT.value}
    started, done, waits = time.monotonic(), 0, list[float]()

    async def follow(key: Document) -> None:
        began = time.monotonic()

        async def is_counted() -> bool:
            return await facts.find_one({**key, **pending}, {"_id": 1}) is None

        await eventually(is_counted, seconds=LONGEST, every=POLL)
        waits.append(time.monotonic() - began)

    async def call(follows: asyncio.TaskGroup) -> None:
        nonlocal done
        while True:
            done += 1
            number = done
            key = await act(post_ids[number % len(post_ids)])
            if number % SAMPLED == 1:
                follows.create_task(follow(key))
            if time.monotonic() >= started + seconds:
                return

    async with asyncio.TaskGroup() as follows:
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(call(follows))
        ended = time.monotonic()

        async def are_counted() -> bool:
            return await facts.find_one({**pending, "due_at": {"$exists": True}}, {"_id": 1}) is None

        await eventually(are_counted, seconds=LONGEST, every=POLL)
    return done, waits, time.monotonic() - ended


@contextlib.asynccontextmanager
async def worker_process(settings: Settings) -> AsyncIterator[None]:
    """A process that counts, notifies and relays the outbox."""
    command = (sys.executable, "-m", "deploy.cli", "worker", "counters", "notifications", "relay")
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
