"""A worker killed amid long fan-outs that another one shares: every feed holds every post, and no deleted one."""

import asyncio
from collections.abc import Callable
from random import Random

from bson import ObjectId

from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.stack import Stack
from tests.support.waiting import eventually
from workers.handlers.fan_out import CHUNK

PATIENCE = 240.0

Record = Callable[[str, object], None]


async def test_a_worker_killed_amid_long_fan_outs_leaves_every_feed_right(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, chunks = (10, 40) if full_size else (2, 8)
    author, posts = await world.user(), list[PostRecord]()
    followers = await followed(world, author, chunks * CHUNK - CHUNK // 2)
    await stack.workers("feed", "relay")
    amid = 0
    for number in range(kills):
        worker = await stack.workers("feed")
        posts.append(await world.post(author))
        await eventually(lambda post=posts[-1]: is_begun(world, post))  # type: ignore[misc]
        await asyncio.sleep(rng.uniform(0, 0.1))
        if number % 2:
            await world.sources.posts.delete(posts[-1].id, author.id, now())
        worker.kill()
        amid += await world.sources.database["fan_outs"].count_documents({"post_id": posts[-1].id}, limit=1)
    await fanned_out(world)
    for number, post in enumerate(posts):
        entries = await world.sources.database["feed_entries"].find({"_id.p": post.id}, {"_id": 1}).to_list()
        assert {entry["_id"]["o"] for entry in entries} == (set() if number % 2 else followers)
    assert [letter async for letter in world.sources.dead_letters.all_dead()] == []
    record_property("kills", kills)
    record_property("amid", amid)


async def followed(world: World, author: UserRecord, count: int) -> set[ObjectId]:
    """So many who follow an author and have a live, complete feed; there is no more to them."""
    ids = [ObjectId() for _ in range(count)]
    follows = [{"follower_id": one, "followee_id": author.id, "state": "FOLLOWING", "version": 1} for one in ids]
    feeds = [{"_id": one, "live": True, "floor": ObjectId(b"\0" * 12), "seen_at": now(), "version": 1} for one in ids]
    await world.sources.database["follows"].insert_many(follows, ordered=False)
    await world.sources.database["feeds"].insert_many(feeds, ordered=False)
    return set(ids)


async def is_begun(world: World, post: PostRecord) -> bool:
    """Whether one of a post's chunks was taken, or all are done."""
    entry = await world.sources.database["feed_entries"].find_one({"_id.p": post.id})
    taken = await world.sources.database["fan_outs"].find_one({"post_id": post.id, "leased_until": {"$exists": True}})
    return entry is not None or taken is not None


async def fanned_out(world: World) -> None:
    """Waits until neither post nor chunk owes the feed worker anything."""

    async def is_done() -> bool:
        posts = await world.sources.database["posts"].count_documents({"outbox": "fan_out"})
        return posts + await world.sources.database["fan_outs"].count_documents({}) == 0

    await eventually(is_done, seconds=PATIENCE, every=0.5)
