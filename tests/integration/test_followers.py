"""The lists of followers that fan-outs read: they follow `follows`, whatever is done and in whatever order."""

import asyncio
import itertools
import random
from functools import partial

import pytest
from bson import ObjectId

from datasources.graph.followers import copy_follows
from domain.jobs import Task
from domain.records.follows import FollowRecord, FollowState
from domain.records.users import UserRecord
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.interruptions import interruption
from workers.handlers.backfill_feed import backfill


async def listed(world: World, author: UserRecord) -> list[ObjectId]:
    """Whom the list of an author's followers holds."""
    return await world.sources.followers.of_author(author.id)


async def read_follow(world: World, follower: UserRecord, followee: UserRecord) -> FollowRecord:
    """The follow of two people, as it is now."""
    pair = {"follower_id": follower.id, "followee_id": followee.id}
    document = await world.sources.database["follows"].find_one(pair)
    assert document is not None
    return FollowRecord.from_document(document)


async def test_a_follower_is_listed_by_a_job_and_removed_by_one(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
    assert await listed(world, ana) == []
    await world.drain()
    assert await listed(world, ana) == [bob.id]
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    await world.drain()
    assert await listed(world, ana) == []


async def test_a_request_is_not_listed_until_it_is_accepted(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.sources.follows.follow(bob.id, ana.id, is_private=True, now=now())
    await world.drain()
    assert await listed(world, ana) == []
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.drain()
    assert await listed(world, ana) == [bob.id]


async def test_a_block_takes_both_off_each_others_lists(world: World) -> None:
    ana, bob = await world.users(2)
    for follower, followee in ((ana, bob), (bob, ana)):
        await world.sources.follows.follow(follower.id, followee.id, is_private=False, now=now())
    await world.drain()
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.drain()
    assert await listed(world, ana) == await listed(world, bob) == []


async def test_a_follow_that_ended_after_it_was_read_lists_nobody(world: World) -> None:
    """A worker reads a follow and sleeps while the follow ends and another worker does all that is pending."""
    ana, bob = await world.users(2)
    await world.sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
    read = await read_follow(world, bob, ana)
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    await world.drain()
    assert not await world.sources.followers.add(read, now())
    assert await listed(world, ana) == []


async def test_an_unfollow_during_a_backfill_wins(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
    follow = await read_follow(world, bob, ana)

    async def unfollow() -> None:
        await world.sources.follows.unfollow(bob.id, ana.id, now=now())

    with interruption(world.sources.push_pull, "is_pulled", unfollow):
        await backfill(world.tools, str(follow.id))
    await world.drain()
    assert await listed(world, ana) == []


async def test_whatever_is_done_at_once_the_lists_are_right_in_the_end(world: World, seed: int) -> None:
    ana, *others = await world.users(5)
    chosen = random.Random(seed)

    async def act(other: UserRecord) -> None:
        for _ in range(8):
            if chosen.random() < 0.5:
                await world.sources.follows.follow(other.id, ana.id, is_private=False, now=now())
            else:
                await world.sources.follows.unfollow(other.id, ana.id, now=now())
            pair = {"follower_id": other.id, "followee_id": ana.id}
            document = await world.sources.database["follows"].find_one(pair)
            if document is not None:
                await asyncio.gather(*(backfill(world.tools, str(document["_id"])) for _ in range(2)))

    await asyncio.gather(*map(act, others))
    await world.drain()
    query = {"followee_id": ana.id, "state": FollowState.FOLLOWING.value}
    following = [row["follower_id"] async for row in world.sources.database["follows"].find(query)]
    assert await listed(world, ana) == sorted(following)


@pytest.mark.parametrize("ends", [False, True])
async def test_a_worker_that_dies_before_any_write_of_a_backfill_leaves_no_wrong_list(
    world: World, *, ends: bool
) -> None:
    for before in itertools.count():
        ana, bob = await world.users(2)
        await world.sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
        if ends:
            await world.drain()
            await world.sources.follows.unfollow(bob.id, ana.id, now=now())
        follow = await read_follow(world, bob, ana)
        died = await dies_before_write(partial(backfill, world.tools, str(follow.id)), before)
        is_pending = bool(await world.sources.follows.pending(Task.BACKFILL, [follow.id]))
        assert is_pending or await listed(world, ana) == ([] if ends else [bob.id])
        await world.drain()
        assert await listed(world, ana) == ([] if ends else [bob.id])
        if not died:
            return


async def test_a_database_without_lists_gets_them_from_its_follows(own: World) -> None:
    ana, bob, eve = await own.user(is_private=True), await own.user(), await own.user()
    await own.sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
    await own.sources.follows.follow(eve.id, ana.id, is_private=True, now=now())
    await own.drain()
    await own.sources.database.drop_collection("followers")
    await asyncio.gather(*(copy_follows(own.sources.database) for _ in range(3)))
    assert await listed(own, ana) == [bob.id]
    assert {"followers"} == {
        name for name in await own.sources.database.list_collection_names() if name.startswith("followers")
    }


async def test_lists_that_exist_are_not_copied_again(own: World) -> None:
    ana, bob = await own.users(2)
    await own.sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
    await own.drain()
    await own.sources.database["followers"].delete_many({})
    await copy_follows(own.sources.database)
    assert await listed(own, ana) == []
