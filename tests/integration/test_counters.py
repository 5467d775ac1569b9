"""Counters: exact after any storm and however often a job runs, with the viewer's own facts before they are counted."""

import asyncio

from bson import ObjectId

from domain.jobs import Fact, Task
from domain.limits import PREVIEW_COMMENTS
from domain.records.follows import FollowState
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from workers.registry import HANDLERS


async def seen_post(world: World, post: PostRecord, viewer: UserRecord) -> PostRecord:
    """A post with the viewer's own facts."""
    seen = await world.sources.read_your_writes.post(post.id, viewer.id)
    assert seen is not None
    return seen


async def seen_user(world: World, user: UserRecord, viewer: UserRecord) -> UserRecord:
    """An account with the viewer's own follow."""
    seen = await world.sources.read_your_writes.user(user.id, viewer.id)
    assert seen is not None
    return seen


async def test_concurrent_runs_of_a_job_count_once(world: World) -> None:
    ana, fans = await world.user(), await world.users(20)
    post = await world.post(ana)
    for fan in fans:
        await world.sources.post_likes.like(post.id, fan.id, now())
    finish = HANDLERS[Task.COUNT, Fact.POST_LIKE].run
    await asyncio.gather(*(finish(world.tools, str(post.id)) for _ in range(5)))
    await finish(world.tools, str(post.id))
    assert (await world.stored_post(post.id)).like_count == 20


async def test_a_job_about_a_missing_fact_does_nothing(world: World) -> None:
    for (task, fact), handler in HANDLERS.items():
        if task is not Task.INGEST:
            await handler.run(world.tools, str(ObjectId()))
        assert await world.sources.dead_letters._failures.count_documents({}) == 0, (task, fact)


async def test_a_fact_with_nothing_pending_has_no_outbox_fields(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.follow(bob, ana)
    await world.comment(post, bob)
    await world.sources.post_likes.like(post.id, bob.id, now())
    assert await world.drain() == set()
    for fact in Fact:
        collection = world.sources.database[fact.collection]
        for field in ("outbox", "pending_since", "due_at", "enqueues"):
            assert await collection.count_documents({field: {"$exists": True}}) == 0, (fact, field)


async def test_viewers_see_their_own_like_before_it_is_counted(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    for viewer, expected in ((bob, 1), (ana, 0)):
        assert (await seen_post(world, post, viewer)).like_count == expected
    await world.drain()
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    assert (await seen_post(world, post, bob)).like_count == 0


async def test_a_comment_deleted_by_the_posts_author_leaves_the_count_at_once_for_both(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    comments = [await world.comment(post, bob) for _ in range(2)]
    await world.drain()
    await world.sources.comments.delete(comments[0].id, now(), by=ana.id)
    for viewer in (ana, bob):
        seen = await seen_post(world, post, viewer)
        assert (seen.comment_count, seen.preview_comment_ids) == (1, [comments[1].id])


async def test_a_viewers_own_likes_and_comments_are_never_counted_twice_while_jobs_run(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()

    async def read() -> None:
        for _ in range(10):
            seen = await seen_post(world, post, bob)
            assert (seen.like_count, seen.comment_count) == (1, 1)

    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.comment(post, bob)
    await asyncio.gather(read(), world.drain(), read())


async def test_a_viewers_own_comments_are_counted_and_shown_at_once(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    old = await world.comment(post, ana)
    await world.drain()
    added = [await world.comment(post, bob) for _ in range(PREVIEW_COMMENTS)]
    await world.comment(post, bob, parent_id=old.id)
    seen = await seen_post(world, post, bob)
    assert seen.comment_count == PREVIEW_COMMENTS + 2
    assert seen.preview_comment_ids == [comment.id for comment in added[::-1]]
    await world.sources.comments.delete(added[-1].id, now())
    seen = await seen_post(world, post, bob)
    assert seen.comment_count == PREVIEW_COMMENTS + 1
    assert added[-1].id not in seen.preview_comment_ids


async def test_a_viewers_own_like_of_a_comment_is_counted_at_once(world: World) -> None:
    ana, bob = await world.users(2)
    comment = await world.comment(await world.post(ana), ana)
    await world.sources.comment_likes.like(comment.id, bob.id, now())
    target = await world.sources.targets.comment(comment.id, bob.id)
    assert target is not None
    assert target.with_like(liked=True).like_count == 1


async def test_a_viewers_own_follow_is_counted_at_once(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    seen = await seen_user(world, ana, bob)
    assert (seen.follower_count, seen.following_count) == (1, 0)
    stranger = await world.user()
    assert (await seen_user(world, ana, stranger)).follower_count == 0
    await world.drain()
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    assert (await seen_user(world, ana, bob)).follower_count == 0


async def test_a_follow_request_is_not_counted(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    assert (await seen_user(world, ana, bob)).follower_count == 0
    (relation,) = await world.sources.relations.by_pairs([(bob.id, ana.id)])
    assert relation.follow_state is FollowState.REQUESTED


async def test_missing_records_read_as_none(world: World) -> None:
    nobody = ObjectId()
    reads = world.sources.read_your_writes
    assert await reads.post(nobody, nobody) is None
    assert await world.sources.targets.comment(nobody, nobody) is None
    assert await reads.user(nobody, nobody) is None
