"""Workers killed again and again while users act: in the end every task was done once."""

import asyncio
import time
from collections.abc import Callable
from random import Random

from tests.support.actions import Progress, carry_out, random_actions, writers
from tests.support.auditing import audit, count_pending, store_files
from tests.support.client import small_jpeg
from tests.support.factories import World
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.stack import Stack
from tests.support.uploads import files_of

LONGEST_LIFE = 1.5  # seconds
PATIENCE = 240.0

Record = Callable[[str, object], None]


async def test_killed_workers_do_every_task_once(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, size = (20, 1_600) if full_size else (3, 120)
    began = time.monotonic()
    users = await world.users(size // 40 + 5)
    await world.open_feeds(*users)
    posts = [await world.post(user) for user in users]
    await world.drain()
    await asyncio.gather(*(store_files(world, post) for post in posts))
    actions, progress = random_actions(rng, users, posts, size, small_jpeg), Progress()
    kills_during_work = 0
    async with writers(world.sources.settings) as writing:
        for n in range(kills):
            worker = await stack.workers()
            acting = asyncio.create_task(carry_out(writing, actions[n::kills], progress))
            await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
            worker.kill()
            kills_during_work += bool(await count_pending(world, limit=1))
            await acting
    await stack.workers()
    last = time.monotonic()
    await audit(world, seconds=PATIENCE)
    stored, expected = await stored_outcomes(world), await expected_outcomes(world, actions, posts)
    record_property("acknowledged", len(progress.acknowledged))
    record_property("kills", kills)
    record_property("kills_during_work", kills_during_work)
    record_property("lost", count_lost(stored, expected))
    record_property("doubled", count_doubled(stored, expected))
    record_property("seconds", f"{last - began:.0f}+{time.monotonic() - last:.0f}")
    assert stored == expected
    await assert_storage_holds_only_renditions(world)


async def assert_storage_holds_only_renditions(world: World) -> None:
    """The files of every post that was made of an upload are the ones that it names; what users sent is cleaned up."""
    blobs, database = world.sources.blobs, world.sources.database
    uploaded = await database["uploads"].distinct("_id")
    for post in await database["posts"].find().to_list():
        for image in post["images"]:
            if image["id"] not in uploaded:
                continue
            stored = set(await files_of(world.sources, image["id"]))
            assert stored == {rendition["key"] for rendition in image["renditions"]}
    for upload in await database["uploads"].find().to_list():
        assert [blob async for blob in blobs.list_incoming(upload["key"])] == []
