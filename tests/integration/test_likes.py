"""Likes of posts and comments: states, not toggles."""

import asyncio

import pytest

from domain.jobs import Fact
from domain.paging import PageRequest
from domain.records.notifications import NotificationKind
from tests.support.factories import World, items_of, now


async def count_likes(world: World, target: object) -> int:
    """The number of stored likes of a post."""
    return await world.sources.database["post_likes"].count_documents({"target_id": target, "liked": True})


async def test_liking_twice_is_liking_once(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    for _ in range(3):
        await world.sources.post_likes.like(post.id, bob.id, now())
        await world.drain()
    assert (await world.stored_post(post.id)).like_count == 1


async def test_fifty_concurrent_likes_of_one_user_are_one(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await asyncio.gather(*(world.sources.post_likes.like(post.id, bob.id, now()) for _ in range(50)))
    await world.drain()
    assert (await world.stored_post(post.id)).like_count == await count_likes(world, post.id) == 1


async def test_unliking_a_post_never_liked_stores_nothing(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    assert await world.sources.database["post_likes"].find_one({"target_id": post.id}) is None


async def test_a_like_taken_back_is_no_longer_counted(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.drain()
    for _ in range(2):
        await world.sources.post_likes.unlike(post.id, bob.id, now())
    await world.drain()
    assert (await world.stored_post(post.id)).like_count == 0


async def test_a_like_taken_back_before_it_was_counted_leaves_no_document(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    await world.drain()
    assert (await world.stored_post(post.id)).like_count == 0
    assert await world.sources.database["post_likes"].find_one({"target_id": post.id}) is None


@pytest.mark.parametrize("fact", [Fact.POST_LIKE, Fact.COMMENT_LIKE])
async def test_a_storm_of_likes_and_unlikes_is_counted_exactly(world: World, fact: Fact) -> None:
    ana, fans = await world.user(), await world.users(12)
    post = await world.post(ana)
    comment = await world.comment(post, ana)
    likes = world.sources.post_likes if fact is Fact.POST_LIKE else world.sources.comment_likes
    target = post.id if fact is Fact.POST_LIKE else comment.id

    async def storm(number: int) -> None:
        for step in range(7):
            verb = likes.unlike if step % 2 else likes.like
            await verb(target, fans[number].id, now())
        if number % 3 == 0:
            await likes.unlike(target, fans[number].id, now())

    await asyncio.gather(*(storm(number) for number in range(12)), *(world.drain() for _ in range(4)))
    await world.drain()
    collection = world.sources.database[fact.collection]
    assert await collection.count_documents({"target_id": target, "liked": True}) == 8
    if fact is Fact.POST_LIKE:
        assert (await world.stored_post(post.id)).like_count == 8
    else:
        assert (await world.stored_comment(comment.id)).like_count == 8


async def test_after_a_storm_the_notification_names_exactly_those_who_like(world: World) -> None:
    ana, fans = await world.user(), await world.users(5)
    post, likes = await world.post(ana), world.sources.post_likes

    async def storm(number: int) -> None:
        for step in range(5 + number % 2):
            await (likes.unlike if step % 2 else likes.like)(post.id, fans[number].id, now())

    await asyncio.gather(*(storm(number) for number in range(5)), *(world.drain() for _ in range(3)))
    await world.drain()
    (notice,) = [notice for notice in await world.inbox(ana) if notice.kind is NotificationKind.POST_LIKED]
    standing = {fans[number].id for number in (0, 2, 4)}
    assert (notice.actor_count, set(notice.actor_ids)) == (3, standing)


async def test_likers_are_listed_latest_first(world: World) -> None:
    ana, fans = await world.user(), await world.users(3)
    post = await world.post(ana)
    for fan in fans:
        await world.sources.post_likes.like(post.id, fan.id, now())
    await world.sources.post_likes.unlike(post.id, fans[1].id, now())
    page = await world.sources.post_likes.likers(post.id, PageRequest(limit=9))
    assert items_of(page) == [fans[2].id, fans[0].id]


async def test_likes_of_a_viewer_come_in_the_order_of_the_targets(world: World) -> None:
    ana, bob = await world.users(2)
    liked, other = await world.post(ana), await world.post(ana)
    await world.sources.post_likes.like(liked.id, bob.id, now())
    records = await world.sources.post_likes.by_targets(bob.id, [other.id, liked.id])
    assert [None if like is None else like.liked for like in records] == [None, True]
    assert await world.sources.post_likes.by_targets(ana.id, [liked.id]) == [None]


async def test_concurrent_likes_and_unlikes_of_many_users_end_as_chosen_last(world: World) -> None:
    ana, *fans = await world.users(31)
    first, second = await world.post(ana), await world.post(ana)
    likes = world.sources.post_likes
    await asyncio.gather(*(likes.like(post.id, fan.id, now()) for post in (first, second) for fan in fans))
    await asyncio.gather(*(likes.unlike(first.id, fan.id, now()) for fan in fans[:10]))
    await world.drain()
    assert [(await world.stored_post(post.id)).like_count for post in (first, second)] == [20, 30]


async def test_a_like_held_up_by_a_lock_does_not_fail_the_others_of_its_batch(world: World) -> None:
    ana, bob, *fans = await world.users(8)
    post = await world.post(ana)
    likes = world.sources.post_likes
    await likes.like(post.id, bob.id, now())
    async with world.sources.client.start_session() as session, await session.start_transaction():
        query = {"target_id": post.id, "user_id": bob.id}
        await world.sources.database["post_likes"].update_one(query, {"$set": {"counted": True}}, session=session)
        held_up = asyncio.create_task(likes.unlike(post.id, bob.id, now()))
        await asyncio.gather(*(likes.like(post.id, fan.id, now()) for fan in fans))
        assert await count_likes(world, post.id) == len(fans) + 1
        await session.abort_transaction()
    await held_up
    assert await count_likes(world, post.id) == len(fans)
