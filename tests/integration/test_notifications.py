"""Notifications: grouped, numbered without gaps, sent once, withdrawn."""

import asyncio

import pytest

from domain.jobs import Fact, Task
from domain.paging import PageRequest, encode_cursor
from domain.records.notifications import NotificationKind as Kind
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, now
from tests.support.notifications import log_of, notifications_of
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs


async def quiet_post(world: World) -> tuple[UserRecord, PostRecord]:
    """An author and a post of theirs, all of whose jobs are done."""
    ana = await world.user()
    post = await world.post(ana)
    await world.drain()
    return ana, post


async def like(world: World, post: PostRecord, *fans: UserRecord) -> None:
    """Likes of these users, each with its jobs done before the next."""
    for fan in fans:
        await world.sources.post_likes.like(post.id, fan.id, now())
        await world.drain()


async def test_the_author_of_a_ready_post_is_notified_once(world: World) -> None:
    ana, post = await quiet_post(world)
    await world.drain()
    (notice,) = await log_of(world, ana)
    assert (notice.kind, notice.post_id, notice.seq, notice.is_seen) == (Kind.POST_READY, post.id, 1, False)


async def test_likes_of_one_post_are_one_notification_with_the_latest_first(world: World) -> None:
    ana, post = await quiet_post(world)
    fans = await world.users(5)
    await like(world, post, *fans)
    (notice,) = await notifications_of(world, ana, Kind.POST_LIKED)
    assert notice.actor_count == 5
    assert notice.actor_ids == [fan.id for fan in fans[:1:-1]]
    assert notice.seq == 6


async def test_a_further_like_makes_the_notification_unseen_and_a_like_taken_back_does_not(world: World) -> None:
    ana, post = await quiet_post(world)
    bob, eve = await world.users(2)
    await like(world, post, bob, eve)
    await world.sources.notifications.mark_seen(ana.id, 100)
    await world.sources.post_likes.unlike(post.id, eve.id, now())
    await world.drain()
    (notice,) = await notifications_of(world, ana, Kind.POST_LIKED)
    assert (notice.actor_count, notice.actor_ids, notice.is_seen) == (1, [bob.id], True)
    await like(world, post, await world.user())
    (notice,) = await notifications_of(world, ana, Kind.POST_LIKED)
    assert (notice.actor_count, notice.is_seen) == (2, False)


async def test_a_like_given_taken_back_and_given_again_is_announced_once(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    await like(world, post, bob)
    (first,) = await notifications_of(world, ana, Kind.POST_LIKED)
    await world.sources.notifications.mark_read(ana.id, [first.id])
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    await world.drain()
    assert await notifications_of(world, ana, Kind.POST_LIKED) == []
    await like(world, post, bob)
    (again,) = await notifications_of(world, ana, Kind.POST_LIKED)
    assert (again.id, again.actor_count, again.is_seen, again.is_read) == (first.id, 1, True, True)
    assert again.updated_at == first.updated_at


async def test_a_like_taken_back_before_the_job_ran_is_never_notified(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    await world.drain()
    assert [notice.kind for notice in await log_of(world, ana)] == [Kind.POST_READY]


async def test_own_likes_and_comments_are_not_notified(world: World) -> None:
    ana, post = await quiet_post(world)
    await like(world, post, ana)
    await world.comment(post, ana, f"@{ana.username}", mention_ids=[ana.id])
    await world.drain()
    assert [notice.kind for notice in await log_of(world, ana)] == [Kind.POST_READY]


@pytest.mark.parametrize("how", ["muted", "blocked", "blocking"])
async def test_muted_and_blocked_users_notify_of_nothing(world: World, how: str) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    sources = world.sources
    if how == "muted":
        await sources.mutes.mute(ana.id, bob.id)
    else:
        await sources.blocks.block(*((ana.id, bob.id) if how == "blocked" else (bob.id, ana.id)), now=now())
    comment = await world.comment(post, ana)
    await world.drain()
    await world.sources.comment_likes.like(comment.id, bob.id, now())
    await like(world, post, bob)
    await world.comment(post, bob)
    await world.comment(post, bob, parent_id=comment.id, mention_ids=[ana.id])
    await world.post(bob, caption="@", mention_ids=[ana.id])
    if how == "muted":
        await world.follow(bob, ana)
    await world.drain()
    assert [notice.kind for notice in await log_of(world, ana)] == [Kind.POST_READY]


async def test_a_notification_of_likes_does_not_count_muted_users(world: World) -> None:
    ana, post = await quiet_post(world)
    bob, eve = await world.users(2)
    await world.sources.mutes.mute(ana.id, bob.id)
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.post_likes.like(post.id, eve.id, now())
    await world.drain()
    (notice,) = await notifications_of(world, ana, Kind.POST_LIKED)
    assert (notice.actor_count, notice.actor_ids) == (1, [eve.id])
    assert (await world.stored_post(post.id)).like_count == 2


async def test_a_comment_notifies_everybody_once_of_what_concerns_them_most(world: World) -> None:
    ana, post = await quiet_post(world)
    bob, eve, dan = await world.users(3)
    parent = await world.comment(post, bob)
    reply = await world.comment(post, eve, parent_id=parent.id, mention_ids=[ana.id, bob.id, dan.id])
    await world.drain()
    for user, kind in ((ana, Kind.COMMENTED), (bob, Kind.REPLIED), (dan, Kind.MENTIONED)):
        (notice,) = [notice for notice in await notifications_of(world, user) if notice.comment_id == reply.id]
        assert (notice.kind, notice.actor_ids, notice.actor_count) == (kind, [eve.id], 1)
    assert await notifications_of(world, eve) == []


async def test_the_notification_of_a_deleted_comment_is_withdrawn(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    comment = await world.comment(post, bob)
    await world.drain()
    assert len(await notifications_of(world, ana, Kind.COMMENTED)) == 1
    await world.sources.comments.delete(comment.id, now())
    await world.drain()
    assert await notifications_of(world, ana, Kind.COMMENTED) == []
    tombstone = (await log_of(world, ana))[-1]
    assert (tombstone.withdrawn, tombstone.kind, tombstone.seq) == (True, Kind.COMMENTED, 3)


async def test_a_mention_notifies_only_those_who_may_see_the_post(world: World) -> None:
    ana, bob, eve = await world.user(is_private=True), await world.user(), await world.user()
    await world.follow(bob, ana)
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.post(ana, mention_ids=[bob.id, eve.id])
    await world.drain()
    assert [notice.kind for notice in await notifications_of(world, bob)] == [Kind.MENTIONED, Kind.FOLLOW_ACCEPTED]
    assert await notifications_of(world, eve) == []


async def test_a_follow_is_notified_and_withdrawn_with_its_end(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.follow(bob, ana)
    await world.drain()
    (notice,) = await notifications_of(world, ana)
    assert (notice.kind, notice.actor_ids) == (Kind.FOLLOWED, [bob.id])
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    await world.drain()
    assert await notifications_of(world, ana) == []


async def test_a_request_is_notified_and_then_its_acceptance(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    await world.drain()
    assert [notice.kind for notice in await notifications_of(world, ana)] == [Kind.FOLLOW_REQUESTED]
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.drain()
    assert await notifications_of(world, ana) == []
    assert [(notice.kind, notice.actor_ids) for notice in await notifications_of(world, bob)] == [
        (Kind.FOLLOW_ACCEPTED, [ana.id])
    ]


async def test_all_notifications_about_a_deleted_post_are_withdrawn(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    comment = await world.comment(post, bob)
    await world.sources.comment_likes.like(comment.id, ana.id, now())
    await like(world, post, bob)
    assert len(await notifications_of(world, bob, Kind.COMMENT_LIKED)) == 1
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    assert await notifications_of(world, ana) == []
    assert await notifications_of(world, bob) == []


async def test_numbers_have_no_gaps_whatever_happens_concurrently(world: World) -> None:
    ana, post = await quiet_post(world)
    fans = await world.users(8)

    async def do_all(fan: UserRecord) -> None:
        await world.sources.post_likes.like(post.id, fan.id, now())
        await world.comment(post, fan)
        await world.follow(fan, ana)

    await asyncio.gather(*(do_all(fan) for fan in fans), *(world.drain() for _ in range(4)))
    await world.drain()
    log = await log_of(world, ana)
    numbers, newest = [notice.seq for notice in log], (await world.sources.notifications.range_of(ana.id)).newest
    assert len(set(numbers)) == len(numbers)
    assert numbers[-1] == newest
    assert len(log) == 1 + 1 + 8 + 8  # the post, all its likes, each comment, each follower
    likes = [notice for notice in log if notice.kind is Kind.POST_LIKED]
    assert newest <= 18 + 7  # each further batch of likes gives their notification a new number
    assert [notice.actor_count for notice in likes] == [8]


async def test_a_repeated_job_gives_no_new_numbers(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    await like(world, post, bob)
    before = await log_of(world, ana)
    likes = world.sources.database["post_likes"]
    await likes.update_many({"target_id": post.id}, {"$set": {"outbox": ["notify"], "due_at": now(), "enqueues": 0}})
    await world.drain()
    assert await log_of(world, ana) == before


async def count_unseen(world: World, user: UserRecord) -> int:
    """The number of unseen notifications, before the rules of visibility."""
    return sum([len(batch) async for batch in world.sources.notifications.unseen(user.id)])


async def test_seen_and_read_are_separate(world: World) -> None:
    ana, post = await quiet_post(world)
    fans = await world.users(2)
    for fan in fans:
        await world.comment(post, fan)
    await world.drain()
    notifications = world.sources.notifications
    assert await count_unseen(world, ana) == 2
    await notifications.mark_seen(ana.id, 2)
    assert await count_unseen(world, ana) == 1
    latest = (await notifications_of(world, ana))[0]
    await notifications.mark_read(ana.id, [latest.id])
    assert await count_unseen(world, ana) == 0
    unread = await notifications.of_recipient(ana.id, PageRequest(limit=9), unread_only=True)
    assert [notice.seq for notice in items_of(unread)] == [2, 1]
    await notifications.mark_read(ana.id, up_to_seq=2)
    assert items_of(await notifications.of_recipient(ana.id, PageRequest(limit=9), unread_only=True)) == []


async def test_nobody_marks_notifications_of_another_user(world: World) -> None:
    ana, _post = await quiet_post(world)
    eve = await world.user()
    (notice,) = await notifications_of(world, ana)
    await world.sources.notifications.mark_read(eve.id, [notice.id], up_to_seq=99)
    await world.sources.notifications.mark_seen(eve.id, 99)
    assert await notifications_of(world, ana) == [notice]


async def test_the_list_pages_by_number_both_ways_and_filters_by_kind(world: World) -> None:
    ana, post = await quiet_post(world)
    for fan in await world.users(4):
        await world.comment(post, fan)
    await world.drain()
    of_recipient = world.sources.notifications.of_recipient
    page = await of_recipient(ana.id, PageRequest.of(first=2, after=encode_cursor(4)))
    assert ([notice.seq for notice in items_of(page)], page.has_next) == ([3, 2], True)
    page = await of_recipient(ana.id, PageRequest.of(last=2))
    assert ([notice.seq for notice in items_of(page)], page.has_previous) == ([2, 1], True)
    page = await of_recipient(ana.id, PageRequest.of(), kinds=[Kind.POST_READY])
    assert [notice.seq for notice in items_of(page)] == [1]


async def test_a_tagged_user_is_notified_once_as_tagged(world: World) -> None:
    ana, bob = await world.users(2)
    await world.post(ana, tagged=[bob], mention_ids=[bob.id])
    await world.drain()
    assert [(notice.kind, notice.actor_ids) for notice in await notifications_of(world, bob)] == [
        (Kind.TAGGED, [ana.id])
    ]


async def test_an_acceptance_by_a_muted_user_is_not_notified(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    await world.sources.mutes.mute(bob.id, ana.id)
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.drain()
    assert await notifications_of(world, bob) == []


async def test_a_job_that_runs_again_changes_nothing_after_the_actor_was_muted(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    comment = await world.comment(post, bob)
    await world.follow(bob, ana)
    mentioning = await world.post(bob, mention_ids=[ana.id])
    jobs = await pending_jobs(world.tools)
    await world.drain()
    before = await log_of(world, ana)
    assert [notice.kind for notice in before if notice.actor_ids == [bob.id]] == [
        Kind.COMMENTED,
        Kind.FOLLOWED,
        Kind.MENTIONED,
    ]
    assert {before[1].comment_id, before[-1].post_id} == {comment.id, mentioning.id}
    await world.sources.mutes.mute(ana.id, bob.id)
    for job in sorted(job for job in jobs if job.task is Task.NOTIFY):
        await HANDLERS[job.kind].run(world.tools, job.key)
    assert await log_of(world, ana) == before


async def test_a_like_of_a_comment_on_a_deleted_or_hidden_post_is_not_notified(world: World) -> None:
    ana, post = await quiet_post(world)
    hidden = await world.post(ana)
    bob, eve = await world.users(2)
    comments = [await world.comment(commented, bob) for commented in (post, hidden)]
    await world.drain()
    for comment in comments:
        await world.sources.comment_likes.like(comment.id, eve.id, now())
    await world.sources.posts.delete(post.id, ana.id, now())
    await HANDLERS[Task.NOTIFY, Fact.POST].run(world.tools, str(post.id))  # before the job of the like
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await world.drain()
    assert await notifications_of(world, bob, Kind.COMMENT_LIKED) == []
