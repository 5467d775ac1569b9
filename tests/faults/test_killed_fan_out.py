"""A worker killed during long fan-outs that another one shares: every feed holds every post, and no deleted one."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from bson import ObjectId

from config import Settings
from datasources.mongo.sharded_ids import new_id
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.stack import Stack
from tests.support.waiting import eventually
from workers.handlers.fan_out import STEP

PATIENCE = 240.0

Record = Callable[[str, object], None]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings by which the posts of an author with so many followers are pushed all the same."""
    return settings.model_copy(update={"feed_push_limit": 10**6})


async def test_a_worker_killed_during_long_fan_outs_leaves_every_feed_correct(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, chunks = (10, 40) if full_size else (2, 8)
    author, posts = await world.user(), list[PostRecord]()
    followers = await create_followers(world, author, chunks * STEP - STEP // 2)
    await stack.workers("feed", "large_fan_outs", "relay")
    kills_during_work = 0
    for number in range(kills):
        worker = await stack.workers("feed", "large_fan_outs")
        posts.append(await world.post(author))
        await eventually(lambda post=posts[-1]: is_begun(world, post), seconds=PATIENCE)  # type: ignore[misc]
        await asyncio.sleep(rng.uniform(0, 0.1))
        if number % 2:
            await world.sources.posts.delete(posts[-1].id, author.id, now())
        worker.kill()
        kills_during_work += await world.sources.database["fan_outs"].count_documents(
            {"post_id": posts[-1].id}, limit=1
        )
    await wait_for_fan_outs(world)
    for number, post in enumerate(posts):
        entries = await world.sources.database["feed_entries"].find({"_id.p": post.id}, {"_id": 1}).to_list()
        assert {entry["_id"]["o"] for entry in entries} == (set() if number % 2 else followers)
    assert [letter async for letter in world.sources.dead_letters.all_dead()] == []
    record_property("kills", kills)
    record_property("kills_during_work", kills_during_work)


async def create_followers(world: World, author: UserRecord, count: int) -> set[ObjectId]:
    """Creates so many followers of an author, with live and complete feeds but without accounts. Returns their ids."""
    ids = [ObjectId() for _ in range(count)]
    standing = {"followee_id": author.id, "state": "FOLLOWING", "version": 1}
    follows = [{"_id": new_id(id_), "follower_id": id_, **standing} for id_ in ids]
    feeds = [{"_id": id_, "live": True, "floor": ObjectId(b"\0" * 12), "seen_at": now(), "version": 1} for id_ in ids]
    await world.sources.database["follows"].insert_many(follows, ordered=False)
    listed = [{"_id": {"u": author.id, "f": id_}} for id_ in ids]
    await world.sources.database["followers"].insert_many(listed, ordered=False)
    await world.sources.database["feeds"].insert_many(feeds, ordered=False)
    counted = {"$set": {"follower_count": count}}  # by which chunks are made so long that they take several calls
    await world.sources.database["users"].update_one({"_id": author.id}, counted)
    return set(ids)


async def is_begun(world: World, post: PostRecord) -> bool:
    """Whether one of a post's chunks was leased, or all are done."""
    entry = await world.sources.database["feed_entries"].find_one({"_id.p": post.id})
    taken = await world.sources.database["fan_outs"].find_one({"post_id": post.id, "leased_until": {"$exists": True}})
    return entry is not None or taken is not None


async def wait_for_fan_outs(world: World) -> None:
    """Waits until no fan-out of a post or chunk is pending."""

    async def is_done() -> bool:
        posts = await world.sources.database["posts"].count_documents({"outbox": "fan_out"})
        return posts + await world.sources.database["fan_outs"].count_documents({}) == 0

    await eventually(is_done, seconds=PATIENCE, every=0.5)
