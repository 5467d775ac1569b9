"""The end of a test that breaks things: everything owed is paid, `verify` finds nothing, and nothing old is cached."""

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
    """Waits up to `seconds` until nothing is owed and then has `verify` look at everything: it must find nothing.

    With `has_files` false, the posts that `World.post` makes up pass, though storage has none of their files. With
    `are_files_awaited`, so do uploads that nobody sent a file for, and their posts: they owe until that is too late.
    """
    await wait_until_drained(world, seconds=seconds, are_files_awaited=are_files_awaited)
    report = await verify(Walk(sources=world.sources))
    findings = [found for found in report.findings if has_files or found.kind != MISSING_FILES]
    assert not findings, findings[:20]
    await assert_nothing_stale(world)
    return report


async def wait_until_drained(world: World, *, seconds: float = 60.0, are_files_awaited: bool = False) -> None:
    """Waits until no fact owes an effect, parked ones included. Raises AssertionError with what is left."""

    async def is_drained() -> bool:
        return not await count_pending(world, most=1, are_files_awaited=are_files_awaited)

    try:
        await eventually(is_drained, seconds=seconds)
    except AssertionError as error:
        raise AssertionError(
            f"pending after {seconds} s: {await count_pending(world, most=10_000, are_files_awaited=are_files_awaited)}"
        ) from error


async def count_pending(world: World, *, most: int, are_files_awaited: bool = False) -> Counter[str]:
    """How many facts of each kind owe something, counted up to `most` each.

    Failed uploads that are cleaned again at the end of their address are passed over.
    """
    later = {"outbox": [Task.CLEAN_UP.value], "failure": {"$exists": True}, "due_at": {"$gt": now() + MAX_PAUSE}}
    query = {"outbox": {"$exists": True, "$nin": WAITING if are_files_awaited else []}, "$nor": [later]}
    counts = {fact.value: world.sources.database[f"{fact.value}s"].count_documents(query, limit=most) for fact in Fact}
    return +Counter(dict(zip(counts, await asyncio.gather(*counts.values()), strict=True)))


async def store_files(world: World, post: PostRecord) -> None:
    """Puts something into storage under every key that a post names, for posts made by `World.post`."""
    keys = [rendition.key for one in post.images for rendition in one.renditions]
    await asyncio.gather(*(world.sources.blobs.put_media(key, b"a picture", "image/jpeg") for key in keys))
