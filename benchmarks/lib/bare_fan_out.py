"""Other ways to write feed entries: the same rows bare, and a job in the queue for each follower."""

import asyncio
from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from benchmarks.lib.loads import Load, Stopwatch
from datasources.sources import Sources
from workers.handlers.fan_out import CHUNK

SLOTS = 16  # calls of one handler that a worker runs at once

READ = 500
GROUP = "jobs"


async def insert_bare(sources: Sources, author: ObjectId, owners: Sequence[ObjectId], posts: int) -> Load:
    """Inserts the entries of some posts, a chunk at a time, by the same driver, without reading who follows."""
    entries = sources.database["feed_entries"]
    watch = Stopwatch()
    for _ in range(posts):
        post_id = ObjectId()
        for start in range(0, len(owners), CHUNK):
            chunk = owners[start : start + CHUNK]
            rows = [{"_id": {"o": owner_id, "p": post_id}, "a": author} for owner_id in chunk]
            await entries.insert_many(rows, ordered=False)
    return watch.load(posts * len(owners))


async def run_job_per_follower(sources: Sources, author: ObjectId, owners: Sequence[ObjectId]) -> Load:
    """One post as Mastodon does it: a job for each follower goes through the queue, and each job inserts one entry.

    The least such a job can do: it reads whether the feed is live, and inserts; `SLOTS` jobs run side by side.
    """
    redis, post_id, key = sources.redis.queue.all[0], ObjectId(), f"{sources.settings.key_prefix}jobs:{ObjectId()}"
    await redis.xgroup_create(key, GROUP, id="0", mkstream=True)
    slots, entries = asyncio.Semaphore(SLOTS), sources.database["feed_entries"]

    async def run(message_id: bytes, owner: bytes) -> None:
        async with slots:
            live = await sources.feed_states.live_among([ObjectId(owner.decode())])
            await entries.insert_many([{"_id": {"o": owner_id, "p": post_id}, "a": author} for owner_id in live])
            await redis.xack(key, GROUP, message_id)

    watch = Stopwatch()
    pipeline = redis.pipeline(transaction=False)
    for owner_id in owners:
        pipeline.xadd(key, {"owner": str(owner_id)})
    await pipeline.execute()
    while True:
        answer: Any = await redis.xreadgroup(GROUP, "one", {key: ">"}, count=READ)
        jobs = [run(message_id, fields[b"owner"]) for _, batch in answer or () for message_id, fields in batch]
        if not jobs:
            break
        await asyncio.gather(*jobs)
    load = watch.load(len(owners))
    await redis.delete(key)
    return load
