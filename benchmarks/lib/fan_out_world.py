"""Authors with followers, their posts, and the worker processes that fan these out."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psutil
from bson import ObjectId

from benchmarks.lib.documents import insert, post, users
from datasources.feed.feed_states import HOLDS_ALL
from datasources.jobs.outbox import pending_fields
from datasources.jobs.redis_queue import GROUP, stream_key
from datasources.mongo import clock
from datasources.sources import Sources
from deploy.local.environment import child_environment
from domain.jobs import Task
from tests.support.stack import ROOT
from tests.support.waiting import eventually

PATIENCE = 120.0
POLL = 0.005
BATCH = 50_000  # followers whose documents are in memory at once
RELAY = "relay"
WORKERS = "deploy.cli"
ONE_QUEUE = "benchmarks.lib.one_feed_queue"  # the same without a lane for large fan-outs


async def author_with_followers(sources: Sources, followers: int) -> tuple[ObjectId, list[ObjectId]]:
    """An author, and their followers, whose feeds are live."""
    (author,) = await users(sources, 1)
    await sources.database["users"].update_one({"_id": author}, {"$set": {"follower_count": followers}})
    owners, now = [ObjectId() for _ in range(followers)], clock.now()
    kept = {"live": True, "floor": HOLDS_ALL, "seen_at": now, "version": 1}
    for start in range(0, followers, BATCH):
        batch = owners[start : start + BATCH]
        ends = [{"follower_id": owner, "followee_id": author} for owner in batch]
        await insert(sources, "follows", [{**pair, "state": "FOLLOWING", "version": 1} for pair in ends])
        await insert(sources, "followers", [{"_id": {"u": author, "f": owner}} for owner in batch])
        await insert(sources, "feeds", [{"_id": owner, **kept} for owner in batch])
    return author, owners


async def publish(sources: Sources, author: ObjectId, number: int = 1) -> list[dict[str, Any]]:
    """Posts whose fan-out is pending, and not enqueued."""
    rows = [post(author) | pending_fields([Task.FAN_OUT], clock.now()) for _ in range(number)]
    await insert(sources, "posts", rows)
    return rows


async def pending_among(sources: Sources, post_ids: Sequence[ObjectId]) -> set[ObjectId]:
    """Those of these posts that are not in the feed of the last follower yet."""
    query = {"_id": {"$in": list(post_ids)}, "outbox": Task.FAN_OUT.value}
    return {row["_id"] async for row in sources.database["posts"].find(query, {"_id": 1})}


@asynccontextmanager
async def worker_processes(
    sources: Sources, *processes: Sequence[str], module: str = WORKERS, **changes: object
) -> AsyncIterator[list[psutil.Process]]:
    """A process for each list of workers, with changed settings; the block begins once all of them read."""
    env = child_environment(sources.settings.model_copy(update=changes))
    started = list[asyncio.subprocess.Process]()

    async def all_read() -> bool:
        pairs = zip(started, processes, strict=True)
        return all([await _reads(sources, process.pid, name) for process, names in pairs for name in names])

    try:
        for names in processes:
            command = [sys.executable, "-m", module, "worker", *names]
            started.append(
                await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdout=asyncio.subprocess.DEVNULL)
            )
        await eventually(all_read, seconds=PATIENCE, every=POLL)
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            await process.wait()


async def _reads(sources: Sources, pid: int, worker: str) -> bool:
    """Whether this process reads a worker's queue. Consumers of others may be left there for a while."""
    if worker == RELAY:
        return True
    stream = stream_key(sources.settings.key_prefix, worker)
    redis = sources.redis.queue.of(stream)
    consumers = await redis.xinfo_consumers(stream, GROUP) if await redis.exists(stream) else []
    return any(consumer["name"].startswith(f"{pid}-".encode()) for consumer in consumers)
