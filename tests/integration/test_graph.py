"""Who follows, asks to follow, blocks and mutes whom."""

import asyncio
import random

import pytest
from bson import ObjectId

from datasources.jobs.outbox import pending_fields
from domain.jobs import Task
from domain.paging import PageRequest, encode_cursor
from domain.records.follows import FollowState
from domain.records.users import UserRecord
from domain.visibility import ONESELF, STRANGERS, Relation
from tests.support.factories import World, items_of, now
from tests.support.graph import follow_counts, relation


async def test_a_follow_is_seen_from_both_sides_and_counted_once(world: World) -> None:
    ana, bob = await world.users(2)
    for _ in range(3):
        await world.follow(bob, ana)
    assert await relation(world, bob, ana) == Relation(follow_state=FollowState.FOLLOWING)
    assert await relation(world, ana, bob) == Relation(is_followed=True)
    assert await world.drain() == set()
    assert await follow_counts(world, ana) == (1, 0)
    assert await follow_counts(world, bob) == (0, 1)


async def test_unfollowing_leaves_nothing_behind(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.drain()
    for _ in range(2):
        await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    assert await relation(world, bob, ana) == STRANGERS
    await world.drain()
    assert await follow_counts(world, ana) == (0, 0)
    assert await follow_counts(world, bob) == (0, 0)
    assert await world.sources.database["follows"].count_documents({"follower_id": bob.id}) == 0


async def test_unfollowing_a_user_never_followed_changes_nothing(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    assert await world.sources.database["follows"].count_documents({"follower_id": bob.id}) == 0


async def test_fifty_concurrent_follows_are_one(world: World) -> None:
    ana, bob = await world.users(2)
    await asyncio.gather(*(world.follow(bob, ana) for _ in range(50)))
    await world.drain()
    assert await follow_counts(world, ana) == (1, 0)
    assert await world.sources.database["follows"].count_documents({"followee_id": ana.id}) == 1


async def test_a_storm_of_follows_and_unfollows_is_counted_exactly(world: World) -> None:
    people, dice = await world.users(6), random.Random(4711)

    async def storm(follower: UserRecord) -> None:
        for _ in range(15):
            other = dice.choice([person for person in people if person is not follower])
            if dice.random() < 0.6:
                await world.follow(follower, other)
            else:
                await world.sources.follows.unfollow(follower.id, other.id, now=now())

    await asyncio.gather(*(storm(person) for person in people), *(world.drain() for _ in range(3)))
    await world.drain()
    follows = world.sources.database["follows"]
    for person in people:
        followers = await follows.count_documents({"followee_id": person.id, "state": "FOLLOWING"})
        following = await follows.count_documents({"follower_id": person.id, "state": "FOLLOWING"})
        assert await follow_counts(world, person) == (followers, following)


async def test_a_follow_of_a_private_account_is_a_request(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    await world.follow(bob, ana)
    assert (await relation(world, bob, ana)).follow_state is FollowState.REQUESTED
    assert (await relation(world, ana, bob)).is_followed is False
    await world.drain()
    assert await follow_counts(world, ana) == (0, 0)
    assert items_of(await world.sources.follows.requests(ana.id, PageRequest(limit=9))) == [bob.id]
    assert items_of(await world.sources.follows.followers(ana.id, PageRequest(limit=9))) == []


async def test_an_accepted_request_is_a_follow(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    assert await world.sources.follows.accept(bob.id, ana.id, now=now())
    assert await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.follow(bob, ana)  # asking again does not turn it into a request
    assert (await relation(world, bob, ana)).follow_state is FollowState.FOLLOWING
    await world.drain()
    assert await follow_counts(world, ana) == (1, 0)


async def test_without_a_request_there_is_nothing_to_accept(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    assert not await world.sources.follows.accept(bob.id, ana.id, now=now())
    assert await relation(world, bob, ana) == STRANGERS


async def test_declining_ends_a_request_but_no_follow(world: World) -> None:
    ana, bob, eve = await world.user(is_private=True), await world.user(), await world.user()
    await world.follow(bob, ana)
    await world.sources.follows.decline(bob.id, ana.id, now=now())
    assert await relation(world, bob, ana) == STRANGERS
    await world.follow(eve, ana)
    await world.sources.follows.accept(eve.id, ana.id, now=now())
    await world.sources.follows.decline(eve.id, ana.id, now=now())
    assert (await relation(world, eve, ana)).follow_state is FollowState.FOLLOWING


async def test_a_request_taken_back_while_it_is_accepted_ends_in_one_of_both_states(world: World) -> None:
    sources = world.sources
    for _ in range(10):
        ana, bob = await world.user(is_private=True), await world.user()
        await world.follow(bob, ana)
        await asyncio.gather(
            sources.follows.accept(bob.id, ana.id, now=now()),
            sources.follows.unfollow(bob.id, ana.id, now=now()),
            world.drain(),
        )
        await world.drain()
        follows = (await relation(world, bob, ana)).is_following
        assert await follow_counts(world, ana) == (int(follows), 0)
        assert await follow_counts(world, bob) == (0, int(follows))


async def test_going_public_accepts_every_request(world: World) -> None:
    ana = await world.user(is_private=True)
    requesters = await world.users(3)
    for requester in requesters:
        await world.follow(requester, ana)
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await world.drain()
    assert await follow_counts(world, ana) == (3, 0)


async def test_a_block_hides_both_users_and_ends_their_follows_at_once(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(ana, bob)
    await world.follow(bob, ana)
    await world.drain()
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    assert await relation(world, ana, bob) == Relation(has_blocked=True)
    assert await relation(world, bob, ana) == Relation(is_blocked=True)
    seen = await world.sources.read_your_writes.user(bob.id, ana.id)
    assert seen is not None
    assert (seen.follower_count, seen.following_count) == (0, 0), "before any worker came"
    await world.drain()
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_a_worker_finishes_a_block_that_stopped_half_way(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    block = {"blocker_id": ana.id, "blocked_id": bob.id, "active": True, **pending_fields([Task.REMOVE_FOLLOWS], now())}
    await world.sources.database["blocks"].insert_one(block)
    await world.drain()
    assert await relation(world, bob, ana) == Relation(is_blocked=True)
    assert await world.sources.database["blocks"].count_documents({"outbox": {"$exists": True}}) == 0


async def test_follows_do_not_come_back_after_a_block(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.sources.blocks.unblock(ana.id, bob.id, now=now())  # before any worker came
    assert await relation(world, bob, ana) == STRANGERS
    await world.drain()
    assert await follow_counts(world, ana) == (0, 0)


async def test_blocks_in_both_directions_end_one_by_one(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    await world.sources.blocks.block(bob.id, ana.id, now=now())
    await world.sources.blocks.unblock(ana.id, bob.id, now=now())
    assert await relation(world, ana, bob) == Relation(is_blocked=True)


async def test_only_the_muter_sees_a_mute(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.mutes.mute(ana.id, bob.id)
    await world.sources.mutes.mute(ana.id, bob.id)
    assert await relation(world, ana, bob) == Relation(has_muted=True)
    assert await relation(world, bob, ana) == STRANGERS
    assert items_of(await world.sources.mutes.muted(ana.id, PageRequest(limit=9))) == [bob.id]
    await world.sources.mutes.unmute(ana.id, bob.id)
    assert await relation(world, ana, bob) == STRANGERS


async def test_relations_come_in_the_order_of_the_pairs(world: World) -> None:
    ana, bob, eve = await world.users(3)
    await world.follow(ana, bob)
    relations = await world.sources.relations.by_pairs([(ana.id, user.id) for user in (eve, ana, bob)])
    assert relations == [STRANGERS, ONESELF, Relation(follow_state=FollowState.FOLLOWING)]


@pytest.mark.parametrize("backward", [False, True])
async def test_pages_give_every_follower_once_latest_first(world: World, backward: bool) -> None:
    ana, fans = await world.user(), await world.users(7)
    for fan in fans:
        await world.follow(fan, ana)
    expected, seen = [fan.id for fan in fans[::-1]], list[ObjectId]()
    request = PageRequest.of(last=3) if backward else PageRequest.of(first=3)
    for _ in range(3):
        page = await world.sources.follows.followers(ana.id, request)
        seen = items_of(page) + seen if backward else seen + items_of(page)
        if backward:
            request = PageRequest.of(last=3, before=encode_cursor(page.items[0][0]))
        else:
            request = PageRequest.of(first=3, after=encode_cursor(page.items[-1][0]))
    assert seen == expected
    assert not (page.has_previous if backward else page.has_next)
