"""The end of a test that breaks things: nothing is pending, `verify` finds nothing, and no cached value is stale."""

import asyncio
from collections import Counter

from datasources.jobs.outbox import MAX_PAUSE
from domain.jobs import Fact, Task
from domain.records.posts import PostRecord
from tests.support.cache_contents import assert_nothing_stale
from tests.support.factories import World, now
from tests.support.waiting import eventually
from workers.maintenance.checks.files import MISSING_FILES
from workers.maintenance.pending import WAITING
from workers.maintenance.verify import Report, verify
from workers.maintenance.walk import Walk


async def audit(
    world: World, *, seconds: float = 60.0, has_files: bool = True, are_files_awaited: bool = False
) -> Report:
    """Waits up to `seconds` until nothing is pending. Then `verify` must find nothing, and nothing cached may be stale.

    `has_files=False` accepts posts made by `World.post`, whose files are not in storage. `are_files_awaited` accepts
    uploads for which nobody sent a file, and their posts: they stay pending until it is too late for the file.
    """
    await wait_until_drained(world, seconds=seconds, are_files_awaited=are_files_awaited)
    report = await verify(Walk(sources=world.sources))
    findings = [finding for finding in report.findings if has_files or finding.kind != MISSING_FILES]
    assert not findings, findings[:20]
    await assert_nothing_stale(world)
    return report


async def wait_until_drained(world: World, *, seconds: float = 60.0, are_files_awaited: bool = False) -> None:
    """Waits until no fact has a pending task, dead-lettered ones included. Raises AssertionError with what is left."""

    async def is_drained() -> bool:
        return not await count_pending(world, limit=1, are_files_awaited=are_files_awaited)

    try:
        await eventually(is_drained, seconds=seconds)
    except AssertionError as error:
        pending = await count_pending(world, limit=10_000, are_files_awaited=are_files_awaited)
        raise AssertionError(f"pending after {seconds} s: {pending}") from error


async def count_pending(world: World, *, limit: int, are_files_awaited: bool = False) -> Counter[str]:
    """How many facts of each kind have pending tasks, counted up to `limit` each.

    Passes over failed uploads that only wait for the second clean-up, after their address has ended.
    """
    later = {"outbox": [Task.CLEAN_UP.value], "failure": {"$exists": True}, "due_at": {"$gt": now() + MAX_PAUSE}}
    query = {"outbox": {"$exists": True, "$nin": WAITING if are_files_awaited else []}, "$nor": [later]}
    counts = {fact.value: world.sources.database[fact.collection].count_documents(query, limit=limit) for fact in Fact}
    return +Counter(dict(zip(counts, await asyncio.gather(*counts.values()), strict=True)))


async def store_files(world: World, post: PostRecord) -> None:
    """Puts a file into storage under every key of a post that `World.post` made."""
    keys = [rendition.key for image in post.images for rendition in image.renditions]
    await asyncio.gather(*(world.sources.blobs.put_media(key, b"a picture", "image/jpeg") for key in keys))
