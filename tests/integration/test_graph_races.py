"""What happens between people at the same time, or in the moment between a look and a write."""

import asyncio

import pytest
from bson import ObjectId

from datasources.graph import follow_states
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.limits import FOLLOWING_MAX
from domain.paging import PageRequest
from domain.records.follows import FollowState
from domain.records.users import UserRecord
from domain.visibility import STRANGERS
from tests.support.factories import World, items_of, now
from tests.support.graph import follow_counts, relation
from tests.support.interruptions import before_first_call
from workers.handlers.backfill import backfill
from workers.handlers.fan_out import fan_out
from workers.maintenance.repair import repair
from workers.maintenance.walk import Walk


async def block_id(world: World, blocker: UserRecord, blocked: UserRecord) -> ObjectId:
    """A new block's id."""
    await world.sources.blocks.block(blocker.id, blocked.id, now=now())
    found = await world.sources.database["blocks"].find_one({"blocker_id": blocker.id, "blocked_id": blocked.id})
    assert found is not None
    return ObjectId(found["_id"])


async def follows_between(world: World, *people: UserRecord) -> int:
    """How many documents there are of follows among these people."""
    ids = {"$in": [one.id for one in people]}
    return await world.sources.database["follows"].count_documents({"follower_id": ids, "followee_id": ids})


async def test_a_follow_that_comes_behind_a_severed_block_is_refused_and_gone(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.drain()
    for follower, followee in ((bob, ana), (ana, bob)):  # each has looked before the block was there
        with pytest.raises(NotFound):
            await world.follow(follower, followee)
    await world.drain()
    assert await follows_between(world, ana, bob) == 0
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_a_process_that_dies_before_it_looks_again_leaves_no_follow_behind_a_block(
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


async def test_follows_and_blocks_at_the_same_time_leave_no_follow_behind_a_block(world: World) -> None:
    pairs = [await world.users(2) for _ in range(15)]

    async def follow(one: UserRecord, other: UserRecord) -> None:
        try:
            await world.follow(one, other)
        except NotFound:
            assert (await relation(world, one, other)).is_blocked

    await asyncio.gather(
        *(follow(bob, ana) for ana, bob in pairs),
        *(world.sources.blocks.block(ana.id, bob.id, now=now()) for ana, bob in pairs),
        world.drain(),
    )
    await world.drain()
    for ana, bob in pairs:
        assert await follows_between(world, ana, bob) == 0
        assert await follow_counts(world, ana) == (0, 0)


async def test_severing_late_ends_nothing_that_began_after_the_unblock(world: World) -> None:
    sources = world.sources
    for _ in range(10):
        ana, bob = await world.users(2)
        follows_removed = await block_id(world, ana, bob)

        async def make_up(ana: UserRecord = ana, bob: UserRecord = bob) -> None:
            await sources.blocks.unblock(ana.id, bob.id, now=now())
            await world.follow(bob, ana)

        await asyncio.gather(
            sources.blocks.remove_follows(follows_removed, now()),
            make_up(),
            sources.blocks.remove_follows(follows_removed, now()),
        )
        await sources.blocks.remove_follows(follows_removed, now())
        await world.drain()
        assert (await relation(world, bob, ana)).is_following


async def test_an_unblock_takes_along_a_follow_that_a_block_has_not_ended(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.drain()
    follows_removed = await block_id(world, ana, bob)
    await world.sources.blocks.unblock(ana.id, bob.id, now=now())
    assert await relation(world, bob, ana) == STRANGERS
    await world.follow(bob, ana)
    await world.sources.blocks.remove_follows(follows_removed, now())
    await world.drain()
    assert await follow_counts(world, ana) == (1, 0)


async def test_a_request_that_reaches_an_account_gone_public_is_granted(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await world.drain()
    await world.follow(bob, ana)  # as one who has read that it is private
    assert (await relation(world, bob, ana)).follow_state is FollowState.REQUESTED
    await world.drain()
    assert (await relation(world, bob, ana)).is_following
    assert await follow_counts(world, ana) == (1, 0)


async def test_an_account_private_again_lets_nobody_in(world: World) -> None:
    ana, (bob, eve) = await world.user(is_private=True), await world.users(2)
    await world.follow(bob, ana)
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await world.follow(eve, ana)
    assert await world.drain() == set()
    assert items_of(await world.sources.follows.requests(ana.id, PageRequest(limit=9))) == [eve.id, bob.id]


async def test_who_asks_after_an_account_went_private_again_is_never_let_in_by_its_having_been_public(
    world: World,
) -> None:
    for _ in range(10):
        ana, bob = await world.user(is_private=True), await world.user()
        await world.sources.users.update_profile(ana.id, {"is_private": False})

        async def ask(ana: UserRecord = ana, bob: UserRecord = bob) -> None:
            await world.sources.users.update_profile(ana.id, {"is_private": True})
            await world.follow(bob, ana)

        grants = [world.sources.follows.accept_requests(ana.id, now=now(), limit=1) for _ in range(3)]
        await asyncio.gather(ask(), *grants)
        await world.drain()
        assert (await relation(world, bob, ana)).follow_state is FollowState.REQUESTED


async def test_requests_are_granted_in_chunks_and_counted(world: World) -> None:
    ana, askers = await world.user(is_private=True), await world.users(5)
    for asker in askers:
        await world.follow(asker, ana)
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    more = [await world.sources.follows.accept_requests(ana.id, now=now(), limit=2) for _ in range(4)]
    assert more == [True, True, False, False]
    assert await world.drain() == set()
    assert await follow_counts(world, ana) == (5, 0)


async def test_of_simultaneous_follows_as_many_pass_as_there_is_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_states, "FOLLOWING_MAX", 5)
    ana, others = await world.user(), await world.users(20)
    private = await world.user(is_private=True)
    done = await asyncio.gather(*(world.follow(ana, one) for one in (*others, private)), return_exceptions=True)
    refused = [one for one in done if one is not None]
    assert len(refused) == 16
    assert {one.code for one in refused if isinstance(one, Refusal)} == {UserErrorCode.TOO_MANY_FOLLOWS}
    sources, first = world.sources, PageRequest(limit=50)
    followed = items_of(await sources.follows.following(ana.id, first))
    someone = followed[0]
    await sources.follows.follow(
        ana.id, someone, is_private=False, now=now()
    )  # whom one follows already takes no more room
    await sources.follows.unfollow(ana.id, someone, now=now())
    left = [one for one in others if one.id not in followed]
    done = await asyncio.gather(*(world.follow(ana, one) for one in left), return_exceptions=True)
    assert done.count(None) == 1


async def test_the_last_of_the_places_is_given_once(world: World) -> None:
    ana, (bob, eve) = await world.user(), await world.users(2)
    rows = [
        {"follower_id": ana.id, "followee_id": ObjectId(), "state": "FOLLOWING", "slot": slot, "version": 1}
        for slot in range(FOLLOWING_MAX - 1)
    ]
    await world.sources.database["follows"].insert_many(rows, ordered=False)
    done = await asyncio.gather(world.follow(ana, bob), world.follow(ana, eve), return_exceptions=True)
    assert done.count(None) == 1
    assert await world.sources.database["follows"].count_documents({"follower_id": ana.id}) == FOLLOWING_MAX


async def test_a_feed_filled_while_the_follow_ended_is_emptied_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bob = await world.users(2)
    await world.post(ana)
    await world.open_feeds(bob)
    await world.follow(bob, ana)
    (follow,) = await world.sources.database["follows"].find({"follower_id": bob.id}).to_list()

    async def unfollow() -> None:
        await world.sources.follows.unfollow(bob.id, ana.id, now=now())
        await world.drain()  # a twin pays all of it, and the follow is gone

    with monkeypatch.context() as patch:
        patch.setattr(world.sources.feeds, "add_posts", before_first_call(unfollow, world.sources.feeds.add_posts))
        await backfill(world.tools, str(follow["_id"]))
    assert await entries_of(world, bob) == 1
    await world.drain()
    assert await entries_of(world, bob) == 0


async def test_an_entry_pushed_to_one_who_unfollowed_meanwhile_is_not_shown_and_repaired(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.open_feeds(bob)
    post = await world.post(ana)

    async def unfollow() -> None:
        await world.sources.follows.unfollow(bob.id, ana.id, now=now())
        await world.drain()

    with monkeypatch.context() as patch:
        patch.setattr(world.sources.feeds, "push", before_first_call(unfollow, world.sources.feeds.push))
        await fan_out(world.tools, str(post.id))
    assert await entries_of(world, bob) == 1
    feed = await world.execute("{ feed { edges { node { id } } } }", bob)
    assert feed.data == {"feed": {"edges": []}}
    await repair(world.tools, Walk(sources=world.sources))
    assert await entries_of(world, bob) == 0


async def entries_of(world: World, owner: UserRecord) -> int:
    """How many posts a feed holds."""
    return await world.sources.database["feed_entries"].count_documents({"_id.o": owner.id})
