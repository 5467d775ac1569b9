"""Concurrent follows, blocks and requests, and changes between a read and the write that follows it."""

import asyncio

import pytest
from bson import ObjectId

from datasources.graph import follow_writes
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.limits import FOLLOWING_MAX
from domain.paging import PageRequest
from domain.records.follows import FollowState
from domain.records.users import UserRecord
from domain.visibility import STRANGERS
from tests.support.factories import World, items_of, now
from tests.support.graph import follow_counts, relation
from tests.support.interruptions import interruption
from workers.handlers.backfill_feed import backfill
from workers.handlers.fan_out import fan_out
from workers.maintenance.repair import repair
from workers.maintenance.walk import Walk


async def new_block_id(world: World, blocker: UserRecord, blocked: UserRecord) -> ObjectId:
    """Blocks a user; the id of the block."""
    await world.sources.blocks.block(blocker.id, blocked.id, now=now())
    block = await world.sources.database["blocks"].find_one({"blocker_id": blocker.id, "blocked_id": blocked.id})
    assert block is not None
    return ObjectId(block["_id"])


async def follows_between(world: World, *people: UserRecord) -> int:
    """How many follows are stored between these users."""
    ids = {"$in": [user.id for user in people]}
    return await world.sources.database["follows"].count_documents({"follower_id": ids, "followee_id": ids})


async def test_a_follow_after_a_block_is_refused_and_removed(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.drain()
    for follower, followee in ((bob, ana), (ana, bob)):  # as if each had read before the block
        with pytest.raises(NotFound):
            await world.follow(follower, followee)
    await world.drain()
    assert await follows_between(world, ana, bob) == 0
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_a_process_that_dies_before_its_check_of_blocks_leaves_no_follow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bob = await world.users(2)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.drain()

    async def died(*_given: object, **_named: object) -> bool:
        raise ConnectionAbortedError

    with monkeypatch.context() as patch:
        patch.setattr(world.sources.follows, "end_if_blocked", died)
        with pytest.raises(ConnectionAbortedError):
            await world.follow(bob, ana)
    assert await follows_between(world, ana, bob) == 1
    await world.drain()
    assert await follows_between(world, ana, bob) == 0
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_concurrent_follows_and_blocks_leave_no_follow(world: World) -> None:
    pairs = [await world.users(2) for _ in range(15)]

    async def follow(user: UserRecord, other: UserRecord) -> None:
        try:
            await world.follow(user, other)
        except NotFound:
            assert (await relation(world, user, other)).is_blocked

    await asyncio.gather(
        *(follow(bob, ana) for ana, bob in pairs),
        *(world.sources.blocks.block(ana.id, bob.id, now=now()) for ana, bob in pairs),
        world.drain(),
    )
    await world.drain()
    for ana, bob in pairs:
        assert await follows_between(world, ana, bob) == 0
        assert await follow_counts(world, ana) == (0, 0)


async def test_a_late_removal_of_follows_ends_nothing_that_began_after_the_unblock(world: World) -> None:
    sources = world.sources
    for _ in range(10):
        ana, bob = await world.users(2)
        new_block = await new_block_id(world, ana, bob)

        async def make_up(ana: UserRecord = ana, bob: UserRecord = bob) -> None:
            await sources.blocks.unblock(ana.id, bob.id, now=now())
            await world.follow(bob, ana)

        await asyncio.gather(
            sources.blocks.remove_follows(new_block, now()),
            make_up(),
            sources.blocks.remove_follows(new_block, now()),
        )
        await sources.blocks.remove_follows(new_block, now())
        await world.drain()
        assert (await relation(world, bob, ana)).is_following


async def test_an_unblock_ends_the_follow_that_its_block_has_not_ended(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.drain()
    new_block = await new_block_id(world, ana, bob)
    await world.sources.blocks.unblock(ana.id, bob.id, now=now())
    assert await relation(world, bob, ana) == STRANGERS
    await world.follow(bob, ana)
    await world.sources.blocks.remove_follows(new_block, now())
    await world.drain()
    assert await follow_counts(world, ana) == (1, 0)


async def test_a_request_to_an_account_gone_public_is_accepted(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await world.drain()
    await world.follow(bob, ana)  # as a caller who has read that it is private
    assert (await relation(world, bob, ana)).follow_state is FollowState.REQUESTED
    await world.drain()
    assert (await relation(world, bob, ana)).is_following
    assert await follow_counts(world, ana) == (1, 0)


async def test_an_account_private_again_accepts_no_requests(world: World) -> None:
    ana, (bob, eve) = await world.user(is_private=True), await world.users(2)
    await world.follow(bob, ana)
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await world.follow(eve, ana)
    assert await world.drain() == set()
    assert items_of(await world.sources.follows.requests(ana.id, PageRequest(limit=9))) == [eve.id, bob.id]


async def test_a_request_made_after_an_account_went_private_again_is_not_accepted(
    world: World,
) -> None:
    for _ in range(10):
        ana, bob = await world.user(is_private=True), await world.user()
        await world.sources.users.update_profile(ana.id, {"is_private": False})

        async def ask(ana: UserRecord = ana, bob: UserRecord = bob) -> None:
            await world.sources.users.update_profile(ana.id, {"is_private": True})
            await world.follow(bob, ana)

        acceptances = [world.sources.follows.accept_requests(ana.id, now=now(), limit=1) for _ in range(3)]
        await asyncio.gather(ask(), *acceptances)
        await world.drain()
        assert (await relation(world, bob, ana)).follow_state is FollowState.REQUESTED


async def test_requests_are_accepted_in_chunks_and_counted(world: World) -> None:
    ana, requesters = await world.user(is_private=True), await world.users(5)
    for requester in requesters:
        await world.follow(requester, ana)
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    more = [await world.sources.follows.accept_requests(ana.id, now=now(), limit=2) for _ in range(4)]
    assert more == [True, True, False, False]
    assert await world.drain() == set()
    assert await follow_counts(world, ana) == (5, 0)


async def test_concurrent_follows_succeed_only_up_to_the_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_writes, "FOLLOWING_MAX", 5)
    ana, others = await world.user(), await world.users(20)
    private = await world.user(is_private=True)
    done = await asyncio.gather(*(world.follow(ana, user) for user in (*others, private)), return_exceptions=True)
    refused = [error for error in done if error is not None]
    assert len(refused) == 16
    assert {error.code for error in refused if isinstance(error, Refusal)} == {UserErrorCode.TOO_MANY_FOLLOWS}
    sources, first = world.sources, PageRequest(limit=50)
    followed = items_of(await sources.follows.following(ana.id, first))
    followee_id = followed[0]
    await sources.follows.follow(ana.id, followee_id, is_private=False, now=now())  # takes no second slot
    await sources.follows.unfollow(ana.id, followee_id, now=now())
    left = [user for user in others if user.id not in followed]
    done = await asyncio.gather(*(world.follow(ana, user) for user in left), return_exceptions=True)
    assert done.count(None) == 1


async def test_the_last_slot_is_given_once(world: World) -> None:
    ana, (bob, eve) = await world.user(), await world.users(2)
    rows = [
        {"follower_id": ana.id, "followee_id": ObjectId(), "state": "FOLLOWING", "slot": slot, "version": 1}
        for slot in range(FOLLOWING_MAX - 1)
    ]
    await world.sources.database["follows"].insert_many(rows, ordered=False)
    done = await asyncio.gather(world.follow(ana, bob), world.follow(ana, eve), return_exceptions=True)
    assert done.count(None) == 1
    assert await world.sources.database["follows"].count_documents({"follower_id": ana.id}) == FOLLOWING_MAX


async def test_a_feed_filled_while_the_follow_ended_is_emptied_again(world: World) -> None:
    ana, bob = await world.users(2)
    await world.post(ana)
    await world.open_feeds(bob)
    await world.follow(bob, ana)
    (follow,) = await world.sources.database["follows"].find({"follower_id": bob.id}).to_list()

    async def unfollow() -> None:
        await world.sources.follows.unfollow(bob.id, ana.id, now=now())
        await world.drain()  # a concurrent run does it all, and the follow is removed

    with interruption(world.sources.feed_entries, "add_posts", unfollow):
        await backfill(world.tools, str(follow["_id"]))
    assert await entries_of(world, bob) == 1
    await world.drain()
    assert await entries_of(world, bob) == 0


async def test_an_entry_pushed_after_an_unfollow_is_not_shown_and_is_removed_by_repair(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    await own.open_feeds(bob)
    post = await own.post(ana)

    async def unfollow() -> None:
        await own.sources.follows.unfollow(bob.id, ana.id, now=now())
        await own.drain()

    with interruption(own.sources.feed_entries, "push", unfollow):
        await fan_out(own.tools, str(post.id))
    assert await entries_of(own, bob) == 1
    feed = await own.execute("{ feed { edges { node { id } } } }", bob)
    assert feed.data == {"feed": {"edges": []}}
    await repair(own.tools, Walk(sources=own.sources))
    assert await entries_of(own, bob) == 0


async def entries_of(world: World, owner: UserRecord) -> int:
    """How many posts a feed holds."""
    return await world.sources.database["feed_entries"].count_documents({"_id.o": owner.id})
