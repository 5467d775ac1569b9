"""Public events: what is told of which fact, that nothing is lost, and that nothing is told for nothing."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from datasources.events.event_sink import EventSink
from datasources.feed.push_pull import Mode
from datasources.moderation.deciding import Ruling
from domain.events import Event, EventType
from domain.ids import to_global_id
from domain.jobs import Fact, Task
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.events import SCHEMAS, names, schema, stream_entries, told, user_id
from tests.support.factories import World, changed_sources, now
from workers.handlers.publish_events import publishing
from workers.runtime.handler import RetryLater, Tools


async def like(world: World, post: PostRecord, user: UserRecord, *, liked: bool = True) -> None:
    likes = world.sources.post_likes
    await (likes.like if liked else likes.unlike)(post.id, user.id, now())


async def test_each_type_has_a_schema() -> None:
    assert {path.name for path in SCHEMAS.glob("*.json")} == {f"{kind.value}.v1.json" for kind in EventType}
    for kind in EventType:
        assert schema(kind.full_name)["properties"]["type"] == {"const": kind.full_name}


async def test_every_act_is_told(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana, caption="At the sea #sun", hashtags=["sun"])
    assert names(await told(own)) == ["post.published"]
    comment = await own.comment(post, bob, "lovely")
    await like(own, post, bob)
    await own.sources.comment_likes.like(comment.id, ana.id, now())
    await own.follow(bob, ana)
    assert set(names(await told(own))[1:]) == {"comment.added", "post.liked", "comment.liked", "user.followed"}
    before = len(await told(own))
    await like(own, post, bob, liked=False)
    await own.sources.comment_likes.unlike(comment.id, ana.id, now())
    await own.sources.follows.unfollow(bob.id, ana.id, now=now())
    assert set(names(await told(own))[before:]) == {"post.unliked", "comment.unliked", "user.unfollowed"}
    await own.sources.comments.delete(comment.id, now())
    assert names(await told(own))[before + 3 :] == ["comment.deleted"]
    await own.sources.posts.delete(post.id, ana.id, now())
    await own.sources.users.delete(ana.id, now())
    assert set(names(await told(own))[before + 4 :]) == {"post.deleted", "user.deleted"}
    for collection in ("post_likes", "comment_likes", "follows", "comments", "posts"):
        assert not await own.sources.database[collection].count_documents({"outbox": {"$exists": True}})
    assert not await own.sources.database["follows"].count_documents({})


async def test_reports_and_suspensions_are_told_without_who_reported(own: World) -> None:
    ana, bob = await own.users(2)
    target = Target(id=ana.id, type=ReportTargetType.USER, subject_id=ana.id)
    await own.sources.moderation.reports.report(bob.id, target, ReportReason.HARASSMENT, "private words", now())
    until = now() + timedelta(days=2)
    for action, end in (
        (ModerationAction.SUSPEND, until),
        (ModerationAction.BAN, None),
        (ModerationAction.RESTORE, None),
    ):
        ruling = Ruling(target=target, action=action, statement="private words", until=end)
        await own.sources.moderation.deciding.decide(ruling, now())
    opened, suspended, banned = sorted(
        await told(own), key=lambda event: ("report" not in event["type"], event["time"])
    )
    assert opened["type"] == "photogram.report.opened.v1"
    assert opened["data"] == {"targetId": user_id(ana), "userId": user_id(ana), "reason": "HARASSMENT"}
    instant = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert suspended["type"] == banned["type"] == "photogram.account.suspended.v1"
    assert suspended["data"] == {"userId": user_id(ana), "until": instant}
    assert banned["data"] == {"userId": user_id(ana)}


async def test_an_event_says_who_did_what_and_when(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana, caption="At the sea #sun", hashtags=["sun"])
    at = now()
    await own.sources.post_likes.like(post.id, bob.id, at)
    published, liked = await told(own)
    assert published["data"] == {
        "postId": to_global_id("Post", post.id),
        "authorId": user_id(ana),
        "content": {"caption": "At the sea #sun", "hashtags": ["sun"], "imageCount": 1},
    }
    assert liked["data"] == {"postId": to_global_id("Post", post.id), "userId": user_id(bob)}
    assert liked["subject"] == to_global_id("Post", post.id)
    assert liked["time"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_the_time_is_that_of_the_last_change(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await like(own, post, bob)
    (pending,) = await own.sources.post_likes.pending_events(Task.PUBLISH_REDIS, [post.id], 9)
    await own.sources.post_likes.set_published([pending], Task.PUBLISH_REDIS)  # counting is still pending
    later = now()
    await own.sources.post_likes.unlike(post.id, bob.id, later)
    assert (await told(own))[-1]["time"] == later.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_what_changes_while_it_is_told_is_told_again(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await like(own, post, bob)
    read = await own.sources.post_likes.pending_events(Task.PUBLISH_REDIS, [post.id], 9)
    await like(own, post, bob, liked=False)
    await own.sources.post_likes.set_published(read, Task.PUBLISH_REDIS)
    events = await told(own)
    assert names(events) == ["post.published", "post.unliked"]
    assert events[1]["sequence"] == "0000000002"


class _Overtaken:
    """Takes events, and before they are marked done something else happens."""

    def __init__(self, sink: EventSink, happens: Callable[[], Awaitable[None]]) -> None:
        self._sink, self._happens = sink, happens

    async def send(self, events: Sequence[Event]) -> None:
        await self._sink.send(events)
        await self._happens()


@pytest.mark.parametrize("change", ["author is pulled", "author is pushed", "backfill restarts"])
async def test_a_change_of_feeds_alone_repeats_the_event_of_a_follow(own: World, change: str) -> None:
    ana, bob = await own.users(2)
    sources, task = own.sources, Task.PUBLISH_REDIS
    follow = await sources.follows.follow(bob.id, ana.id, is_private=False, now=now())

    async def happens() -> None:
        if change == "backfill restarts":
            await sources.follows.restart_backfill(bob.id, [ana.id], now())
        else:
            await sources.push_pull.switch(Mode(id=ana.id, pulled=change == "author is pulled"), [bob.id], now())

    sink = _Overtaken(sources.event_sinks[task], happens)
    overtaken = Tools(sources=changed_sources(sources, event_sinks={task: sink}))
    await publishing(task)[task, Fact.FOLLOW](overtaken, str(follow.id))
    assert await sources.follows.pending(task, [follow.id])
    first, second = await told(own)
    assert first == second
    await sources.follows.unfollow(bob.id, ana.id, now=now())
    assert (await told(own))[-1]["sequence"] > first["sequence"]


async def test_requests_are_not_told(own: World) -> None:
    ana, bob = await own.user(is_private=True), await own.user()
    await own.follow(bob, ana)
    assert await told(own) == []
    await own.sources.follows.decline(bob.id, ana.id, now=now())
    assert await told(own) == []
    await own.follow(bob, ana)
    await own.sources.follows.accept(bob.id, ana.id, now=now())
    assert names(await told(own)) == ["user.followed"]
    await own.sources.follows.unfollow(bob.id, ana.id, now=now())
    await own.follow(bob, ana)  # before anybody was told that the follow has ended
    assert names(await told(own)) == ["user.followed", "user.unfollowed"]


async def test_requests_after_a_follow_has_ended_tell_nothing_more(own: World) -> None:
    ana, bob = await own.user(is_private=True), await own.user()
    follows, task = own.sources.follows, Task.PUBLISH_REDIS
    publish = publishing(task)[task, Fact.FOLLOW]
    follow = await follows.follow(bob.id, ana.id, is_private=True, now=now())
    await follows.accept(bob.id, ana.id, now=now())
    await publish(own.tools, str(follow.id))
    await follows.unfollow(bob.id, ana.id, now=now())
    await publish(own.tools, str(follow.id))  # counting is still pending, so the follow is not deleted
    for _ in range(2):
        await follows.follow(bob.id, ana.id, is_private=True, now=now())
        await publish(own.tools, str(follow.id))
        await follows.decline(bob.id, ana.id, now=now())
        await publish(own.tools, str(follow.id))
    events = await told(own)
    assert names(events) == ["user.followed", "user.unfollowed"]
    assert [event["sequence"] for event in events] == ["0000000001", "0000000002"]


async def test_a_request_repeats_the_event_that_a_follow_has_ended(own: World) -> None:
    ana, bob = await own.user(is_private=True), await own.user()
    sources, task = own.sources, Task.PUBLISH_REDIS
    follow = await sources.follows.follow(bob.id, ana.id, is_private=False, now=now())
    await publishing(task)[task, Fact.FOLLOW](own.tools, str(follow.id))
    await sources.follows.unfollow(bob.id, ana.id, now=now())

    async def happens() -> None:
        await sources.follows.follow(bob.id, ana.id, is_private=True, now=now())

    sink = _Overtaken(sources.event_sinks[task], happens)
    overtaken = Tools(sources=changed_sources(sources, event_sinks={task: sink}))
    await publishing(task)[task, Fact.FOLLOW](overtaken, str(follow.id))
    _, first, second = await told(own)
    assert first == second


async def test_failed_posts_are_not_told(own: World) -> None:
    ana = await own.user()
    post = await own.draft(ana)
    await own.sources.posts.delete(post.id, ana.id, now())
    assert await told(own) == []


async def test_a_deleted_account_undoes_its_acts(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    mine = await own.post(bob)
    await like(own, post, bob)
    await own.comment(post, bob)
    await own.follow(bob, ana)
    before = len(await told(own))
    await own.sources.users.delete(bob.id, now())
    undone = {"user.deleted", "post.unliked", "comment.deleted", "user.unfollowed", "post.deleted"}
    events = (await told(own))[before:]
    assert set(names(events)) == undone
    assert not any("content" in event["data"] for event in events)
    assert mine.id


async def test_a_comment_is_told_once_it_is_screened(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    comment = await own.comment(post, bob)
    run = publishing(Task.PUBLISH_REDIS)[Task.PUBLISH_REDIS, Fact.COMMENT]
    with pytest.raises(RetryLater):
        await run(own.tools, str(comment.id))
    assert await stream_entries(own) == []
    assert "comment.added" in names(await told(own))
