"""Notifications: grouped, numbered without gaps, told once, taken back."""

import asyncio

import pytest
from bson import ObjectId

from datasources.mongo.client import Document
from domain.jobs import Fact, Task
from domain.paging import PageRequest, encode_cursor
from domain.records.notifications import NotificationKind as Kind
from domain.records.notifications import NotificationRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, now
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs


async def notified(world: World, user: UserRecord, *kinds: Kind) -> list[NotificationRecord]:
    """What a user was told, of some kinds or of all, latest first."""
    return [one for one in await world.inbox(user) if not kinds or one.kind in kinds]


async def log_of(world: World, user: UserRecord) -> list[NotificationRecord]:
    """A user's whole log, withdrawn entries too, in the order of the numbers."""
    return await world.sources.notifications.changed_after(user.id, 0, 1_000)


async def quiet_post(world: World) -> tuple[UserRecord, PostRecord]:
    """An author and a post of theirs, which they have heard of."""
    ana = await world.user()
    post = await world.post(ana)
    await world.drain()
    return ana, post


async def like(world: World, post: PostRecord, *fans: UserRecord) -> None:
    """Some likes, settled one after the other."""
    for fan in fans:
        await world.sources.post_likes.like(post.id, fan.id, now())
        await world.drain()


async def test_a_ready_post_is_told_to_its_author_once(world: World) -> None:
    ana, post = await quiet_post(world)
    await world.drain()
    (notice,) = await log_of(world, ana)
    assert (notice.kind, notice.post_id, notice.seq, notice.is_seen) == (Kind.POST_READY, post.id, 1, False)


async def test_likes_of_one_post_are_one_notification_with_the_latest_first(world: World) -> None:
    ana, post = await quiet_post(world)
    fans = await world.users(5)
    await like(world, post, *fans)
    (notice,) = await notified(world, ana, Kind.POST_LIKED)
    assert notice.actor_count == 5
    assert notice.actor_ids == [fan.id for fan in fans[:1:-1]]
    assert notice.seq == 6


async def test_a_thousandth_like_is_news_and_a_like_taken_back_is_not(world: World) -> None:
    ana, post = await quiet_post(world)
    bob, eve = await world.users(2)
    await like(world, post, bob, eve)
    await world.sources.notifications.mark_seen(ana.id, 100)
    await world.sources.post_likes.unlike(post.id, eve.id, now())
    await world.drain()
    (notice,) = await notified(world, ana, Kind.POST_LIKED)
    assert (notice.actor_count, notice.actor_ids, notice.is_seen) == (1, [bob.id], True)
    await like(world, post, await world.user())
    (notice,) = await notified(world, ana, Kind.POST_LIKED)
    assert (notice.actor_count, notice.is_seen) == (2, False)


async def test_like_unlike_like_announces_once(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    await like(world, post, bob)
    (first,) = await notified(world, ana, Kind.POST_LIKED)
    await world.sources.notifications.mark_read(ana.id, [first.id])
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    await world.drain()
    assert await notified(world, ana, Kind.POST_LIKED) == []
    await like(world, post, bob)
    (again,) = await notified(world, ana, Kind.POST_LIKED)
    assert (again.id, again.actor_count, again.is_seen, again.is_read) == (first.id, 1, True, True)
    assert again.updated_at == first.updated_at


async def test_a_like_taken_back_unheard_is_never_told(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.post_likes.unlike(post.id, bob.id, now())
    await world.drain()
    assert [one.kind for one in await log_of(world, ana)] == [Kind.POST_READY]


async def test_ones_own_acts_are_not_told(world: World) -> None:
    ana, post = await quiet_post(world)
    await like(world, post, ana)
    await world.comment(post, ana, f"@{ana.username}", mention_ids=[ana.id])
    await world.drain()
    assert [one.kind for one in await log_of(world, ana)] == [Kind.POST_READY]


@pytest.mark.parametrize("how", ["muted", "blocked", "blocking"])
async def test_nothing_is_told_of_the_muted_and_the_blocked(world: World, how: str) -> None:
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
    assert [one.kind for one in await log_of(world, ana)] == [Kind.POST_READY]


async def test_among_likers_the_muted_are_not_counted(world: World) -> None:
    ana, post = await quiet_post(world)
    bob, eve = await world.users(2)
    await world.sources.mutes.mute(ana.id, bob.id)
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.sources.post_likes.like(post.id, eve.id, now())
    await world.drain()
    (notice,) = await notified(world, ana, Kind.POST_LIKED)
    assert (notice.actor_count, notice.actor_ids) == (1, [eve.id])
    assert (await world.stored_post(post.id)).like_count == 2


async def test_a_comment_is_told_to_each_in_the_nearest_way(world: World) -> None:
    ana, post = await quiet_post(world)
    bob, eve, dan = await world.users(3)
    parent = await world.comment(post, bob)
    reply = await world.comment(post, eve, parent_id=parent.id, mention_ids=[ana.id, bob.id, dan.id])
    await world.drain()
    for user, kind in ((ana, Kind.COMMENTED), (bob, Kind.REPLIED), (dan, Kind.MENTIONED)):
        (notice,) = [one for one in await notified(world, user) if one.comment_id == reply.id]
        assert (notice.kind, notice.actor_ids, notice.actor_count) == (kind, [eve.id], 1)
    assert await notified(world, eve) == []


async def test_a_deleted_comment_is_taken_back(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    comment = await world.comment(post, bob)
    await world.drain()
    assert len(await notified(world, ana, Kind.COMMENTED)) == 1
    await world.sources.comments.delete(comment.id, now())
    await world.drain()
    assert await notified(world, ana, Kind.COMMENTED) == []
    tombstone = (await log_of(world, ana))[-1]
    assert (tombstone.withdrawn, tombstone.kind, tombstone.seq) == (True, Kind.COMMENTED, 3)


async def test_a_mention_reaches_only_who_may_see_the_post(world: World) -> None:
    ana, bob, eve = await world.user(is_private=True), await world.user(), await world.user()
    await world.follow(bob, ana)
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.post(ana, mention_ids=[bob.id, eve.id])
    await world.drain()
    assert [one.kind for one in await notified(world, bob)] == [Kind.MENTIONED, Kind.FOLLOW_ACCEPTED]
    assert await notified(world, eve) == []


async def test_following_is_told_and_unfollowing_takes_it_back(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    await world.follow(bob, ana)
    await world.drain()
    (notice,) = await notified(world, ana)
    assert (notice.kind, notice.actor_ids) == (Kind.FOLLOWED, [bob.id])
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    await world.drain()
    assert await notified(world, ana) == []


async def test_a_request_becomes_an_acceptance(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    await world.drain()
    assert [one.kind for one in await notified(world, ana)] == [Kind.FOLLOW_REQUESTED]
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.drain()
    assert await notified(world, ana) == []
    assert [(one.kind, one.actor_ids) for one in await notified(world, bob)] == [(Kind.FOLLOW_ACCEPTED, [ana.id])]


async def test_a_deleted_post_takes_back_all_that_was_told_about_it(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    comment = await world.comment(post, bob)
    await world.sources.comment_likes.like(comment.id, ana.id, now())
    await like(world, post, bob)
    assert len(await notified(world, bob, Kind.COMMENT_LIKED)) == 1
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    assert await notified(world, ana) == []
    assert await notified(world, bob) == []


async def test_numbers_are_dense_whatever_happens_at_once(world: World) -> None:
    ana, post = await quiet_post(world)
    fans = await world.users(8)

    async def act(fan: UserRecord) -> None:
        await world.sources.post_likes.like(post.id, fan.id, now())
        await world.comment(post, fan)
        await world.follow(fan, ana)

    await asyncio.gather(*(act(fan) for fan in fans), *(world.drain() for _ in range(4)))
    await world.drain()
    log = await log_of(world, ana)
    numbers, newest = [one.seq for one in log], (await world.sources.notifications.range_of(ana.id)).newest
    assert len(set(numbers)) == len(numbers)
    assert numbers[-1] == newest
    assert len(log) == 1 + 1 + 8 + 8  # the post, all its likes, each comment, each follower
    likes = [one for one in log if one.kind is Kind.POST_LIKED]
    assert (
        newest <= 18 + 7
    )  # a grouped notification moves up once for each further batch of likes, and leaves its number
    assert [one.actor_count for one in likes] == [8]


async def test_settling_twice_gives_no_new_numbers(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    await like(world, post, bob)
    before = await log_of(world, ana)
    likes = world.sources.database["post_likes"]
    await likes.update_many({"target_id": post.id}, {"$set": {"outbox": ["notify"], "due_at": now(), "enqueues": 0}})
    await world.drain()
    assert await log_of(world, ana) == before


async def unseen(world: World, user: UserRecord) -> int:
    """How many are there for the badge, before the rules."""
    return sum([len(batch) async for batch in world.sources.notifications.unseen(user.id)])


async def test_seen_and_read_are_told_apart(world: World) -> None:
    ana, post = await quiet_post(world)
    fans = await world.users(2)
    for fan in fans:
        await world.comment(post, fan)
    await world.drain()
    notifications = world.sources.notifications
    assert await unseen(world, ana) == 2
    await notifications.mark_seen(ana.id, 2)
    assert await unseen(world, ana) == 1
    latest = (await notified(world, ana))[0]
    await notifications.mark_read(ana.id, [latest.id])
    assert await unseen(world, ana) == 0
    unread = await notifications.of_recipient(ana.id, PageRequest(limit=9), unread_only=True)
    assert [one.seq for one in items_of(unread)] == [2, 1]
    await notifications.mark_read(ana.id, up_to_seq=2)
    assert items_of(await notifications.of_recipient(ana.id, PageRequest(limit=9), unread_only=True)) == []


async def test_nobody_marks_somebody_elses(world: World) -> None:
    ana, _post = await quiet_post(world)
    eve = await world.user()
    (notice,) = await notified(world, ana)
    await world.sources.notifications.mark_read(eve.id, [notice.id], up_to_seq=99)
    await world.sources.notifications.mark_seen(eve.id, 99)
    assert await notified(world, ana) == [notice]


async def test_the_list_pages_by_number_both_ways_and_filters_by_kind(world: World) -> None:
    ana, post = await quiet_post(world)
    for fan in await world.users(4):
        await world.comment(post, fan)
    await world.drain()
    of_recipient = world.sources.notifications.of_recipient
    page = await of_recipient(ana.id, PageRequest.of(first=2, after=encode_cursor(4)))
    assert ([one.seq for one in items_of(page)], page.has_next) == ([3, 2], True)
    page = await of_recipient(ana.id, PageRequest.of(last=2))
    assert ([one.seq for one in items_of(page)], page.has_previous) == ([2, 1], True)
    page = await of_recipient(ana.id, PageRequest.of(), kinds=[Kind.POST_READY])
    assert [one.seq for one in items_of(page)] == [1]


async def test_a_tagged_person_is_told_as_tagged_and_once(world: World) -> None:
    ana, bob = await world.users(2)
    await world.post(ana, tagged=[bob], mention_ids=[bob.id])
    await world.drain()
    assert [(one.kind, one.actor_ids) for one in await notified(world, bob)] == [(Kind.TAGGED, [ana.id])]


async def test_an_acceptance_by_somebody_muted_is_not_told(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.follow(bob, ana)
    await world.sources.mutes.mute(bob.id, ana.id)
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    await world.drain()
    assert await notified(world, bob) == []


async def test_a_ring_that_comes_again_changes_nothing_after_the_actor_was_muted(world: World) -> None:
    ana, post = await quiet_post(world)
    bob = await world.user()
    comment = await world.comment(post, bob)
    await world.follow(bob, ana)
    mentioning = await world.post(bob, mention_ids=[ana.id])
    jobs = await pending_jobs(world.tools)
    await world.drain()
    before = await log_of(world, ana)
    assert [one.kind for one in before if one.actor_ids == [bob.id]] == [Kind.COMMENTED, Kind.FOLLOWED, Kind.MENTIONED]
    assert {before[1].comment_id, before[-1].post_id} == {comment.id, mentioning.id}
    await world.sources.mutes.mute(ana.id, bob.id)
    for job in sorted(job for job in jobs if job.task is Task.NOTIFY):
        await HANDLERS[job.kind].run(world.tools, job.key)
    assert await log_of(world, ana) == before


async def test_a_comments_like_is_not_told_once_its_post_is_gone_or_hidden(world: World) -> None:
    ana, post = await quiet_post(world)
    hidden = await world.post(ana)
    bob, eve = await world.users(2)
    comments = [await world.comment(one, bob) for one in (post, hidden)]
    await world.drain()
    for comment in comments:
        await world.sources.comment_likes.like(comment.id, eve.id, now())
    await world.sources.posts.delete(post.id, ana.id, now())
    await HANDLERS[Task.NOTIFY, Fact.POST].run(world.tools, str(post.id))  # before that of the like
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await world.drain()
    assert await notified(world, bob, Kind.COMMENT_LIKED) == []


async def edit(world: World, post: PostRecord, *mentioned: UserRecord) -> None:
    """As `updatePost`, with words that mention these people."""
    words = {"caption": "other words", "mention_ids": [one.id for one in mentioned]}
    await world.sources.posts.update(post.id, post.author_id, words, now())


async def test_an_edit_tells_whom_it_mentions_and_takes_back_whom_it_does_not(world: World) -> None:
    ana, bob, eve, dan = await world.users(4)
    post = await world.post(ana, mention_ids=[bob.id, dan.id])
    await world.drain()
    await edit(world, post, eve, dan)
    await world.drain()
    await world.drain()
    assert await notified(world, bob) == []
    ((told_eve,), (told_dan,)) = await notified(world, eve), await notified(world, dan)
    assert (told_eve.kind, told_eve.post_id, told_eve.actor_ids) == (Kind.MENTIONED, post.id, [ana.id])
    assert told_dan.seq == 1  # nothing new for who was mentioned before
    assert [one.kind for one in await log_of(world, ana)] == [Kind.POST_READY]
    assert [(one.withdrawn, one.seq) for one in await log_of(world, bob)] == [(True, 2)]


async def test_a_mention_that_comes_back_is_told_again(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana, mention_ids=[bob.id])
    await world.drain()
    await world.sources.notifications.mark_read(bob.id, up_to_seq=100)
    for mentioned in ([], [bob]):
        await edit(world, post, *mentioned)
        await world.drain()
    (notice,) = await notified(world, bob)
    assert (notice.is_seen, notice.seq) == (False, 3)


async def test_an_edit_that_keeps_the_mentions_owes_nothing(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana, mention_ids=[bob.id])
    await world.drain()
    await edit(world, post, bob)
    assert await pending_jobs(world.tools) == set()


async def test_who_muted_the_author_keeps_what_they_were_told_amid_edits(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, mention_ids=[bob.id])
    await world.drain()
    await world.sources.mutes.mute(bob.id, ana.id)
    await edit(world, post, bob, eve)
    await world.drain()
    assert [one.kind for one in await notified(world, bob)] == [Kind.MENTIONED]


async def test_a_tag_taken_off_is_taken_back_and_a_mention_beside_it_is_no_news(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, tagged=[bob, eve], mention_ids=[eve.id])
    await world.drain()
    await world.sources.notifications.mark_read(eve.id, up_to_seq=100)
    for one in (bob, eve):
        await world.sources.posts.untag(post.id, one.id, now())
        await world.sources.posts.untag(post.id, one.id, now())
    await world.drain()
    assert await notified(world, bob) == []
    (notice,) = await notified(world, eve)
    assert (notice.kind, notice.is_seen) == (Kind.MENTIONED, True)
    assert (await world.stored_post(post.id)).tagged_ids == []


async def test_of_two_workers_the_one_with_the_older_words_tells_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it read is no longer so when it comes to writing: who was edited away meanwhile is not told after all."""
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await edit(world, post, bob)
    run, posts = HANDLERS[Task.NOTIFY, Fact.POST].run, world.sources.posts

    async def read_before_the_edit(post_id: ObjectId) -> Document | None:
        document = await world.sources.database["posts"].find_one({"_id": post_id})
        monkeypatch.undo()
        await edit(world, post)
        await run(world.tools, str(post_id))
        return document

    monkeypatch.setattr(posts, "document", read_before_the_edit)
    await run(world.tools, str(post.id))
    await world.drain()
    assert await notified(world, bob) == []
