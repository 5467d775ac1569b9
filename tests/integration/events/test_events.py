"""Public events: what is told of which fact, to whom it may be told, and that nothing is lost or told for nothing."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import RedisError

from config import Settings
from datasources.events.event_sink import EventSink
from datasources.events.redis_stream import stream_key
from datasources.feed.push_pull import Mode
from datasources.moderation.deciding import Ruling
from domain.events import Event, EventType
from domain.ids import to_global_id
from domain.jobs import Fact, Task
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.emptying import empty
from tests.support.events import SCHEMAS, names, schema, stream_entries, told
from tests.support.factories import World, changed_sources, now, opened, own_database
from workers.handlers.publish_events import publishing
from workers.maintenance.gc.steps import collect
from workers.registry import HANDLERS
from workers.runtime.drain import drain, pending_jobs
from workers.runtime.handler import RetryLater, Tools


@pytest.fixture(scope="module")
async def telling(shared_settings: Settings) -> AsyncIterator[World]:
    """A world whose events go to Redis."""
    with own_database(shared_settings, events=("redis",)) as settings:
        async with opened(settings) as world:
            yield world


@pytest.fixture
async def own(telling: World) -> World:
    """That world, emptied."""
    return await empty(telling)


def user_id(user: UserRecord) -> str:
    return to_global_id("User", user.id)


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


async def test_of_a_hidden_post_only_the_deletion_is_told(own: World) -> None:
    ana = await own.user()
    post = await own.post(ana)
    target = Target(id=post.id, type=ReportTargetType.POST, subject_id=ana.id)
    hidden = Ruling(target=target, action=ModerationAction.HIDE, statement="!")
    await own.sources.moderation.deciding.decide(hidden, now())  # before anybody was told of the post
    assert names(await told(own)) == []
    await own.sources.moderation.deciding.decide(Ruling(target=target, action=ModerationAction.RESTORE), now())
    assert names(await told(own)) == ["post.published"]
    await own.sources.moderation.deciding.decide(hidden, now())
    await own.sources.posts.delete(post.id, ana.id, now())
    assert names(await told(own)) == ["post.published", "post.deleted"]


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


class _Dying:
    """Takes events and then fails once, as a worker that dies before it has marked them done."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._fails = True

    async def send(self, events: Sequence[Event]) -> None:
        await self._sink.send(events)
        if self._fails:
            self._fails = False
            raise RedisError("the answer is lost")


async def test_a_repetition_is_equal_to_the_first(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await like(own, post, bob)
    await own.follow(bob, ana)
    await own.sources.posts.delete((await own.post(ana)).id, ana.id, now())
    tools, repeated = Tools(sources=own.sources), 0
    for (task, fact), run in publishing(Task.PUBLISH_REDIS).items():
        keys = [job.key for job in await pending_jobs(tools) if job.kind == (task, fact)]
        before = len(await stream_entries(own))
        dying = Tools(sources=changed_sources(own.sources, event_sinks={task: _Dying(own.sources.event_sinks[task])}))
        for key in keys:
            with pytest.raises(RedisError):
                await run(dying, key)
            await run(dying, key)
        sent = [event for _, event in await stream_entries(own)][before:]
        assert sent[::2] == sent[1::2]
        repeated += len(sent) // 2
    assert repeated == 3


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


@pytest.mark.parametrize(
    "case", ["public", "private", "turns private", "deleted", "blocked", "hidden", "commenter gone"]
)
async def test_words_leave_only_if_strangers_may_see_them(own: World, case: str) -> None:
    ana, bob = await own.user(is_private=case == "private"), await own.user()
    post = await own.post(ana, caption="SECRET caption")
    comment = await own.comment(post, bob, "SECRET comment")
    match case:
        case "turns private":
            await own.sources.users.update_profile(ana.id, {"is_private": True})
        case "deleted":
            await own.sources.users.delete(ana.id, now())
        case "blocked":
            await own.sources.blocks.block(ana.id, bob.id, now=now())
        case "hidden":
            await own.sources.comments.hide(comment.id, "moderated", now())
        case "commenter gone":
            await own.sources.users.delete(bob.id, now())
    events = await told(own)
    with_words = {name for name, event in zip(names(events), events, strict=True) if "SECRET" in str(event)}
    expected = {
        "public": {"post.published", "comment.added"},
        "blocked": {"post.published", "comment.added"},
        "hidden": {"post.published"},
        "commenter gone": {"post.published"},
    }
    assert with_words == expected.get(case, set())
    assert events


@pytest.mark.parametrize("case", ["public", "hidden", "deleted", "suspended", "gone"])
async def test_words_of_a_reply_leave_only_if_strangers_may_see_what_it_answers(own: World, case: str) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    parent = await own.comment(post, bob)
    await own.drain()
    await own.comment(post, ana, "SECRET", parent_id=parent.id)
    match case:
        case "hidden":
            await own.sources.comments.hide(parent.id, "moderated", now())
        case "deleted":
            await own.sources.comments.delete(parent.id, now())
        case "suspended":
            await own.sources.users.update_profile(bob.id, {"state": "SUSPENDED"})
        case "gone":
            await own.sources.users.delete(bob.id, now())
    assert ("SECRET" in str(await told(own))) == (case == "public")


async def test_what_is_deleted_while_a_sink_is_away_leaves_only_ids(own: World) -> None:
    ana = await own.user()
    post, other = await own.post(ana, caption="SECRET"), await own.post(ana)
    comment = await own.comment(other, ana, "SECRET")
    await own.drain()
    await own.sources.posts.delete(post.id, ana.id, now())
    await own.sources.comments.delete(comment.id, now())
    for _ in range(3):
        for job in sorted(await pending_jobs(own.tools)):
            if job.task is not Task.PUBLISH_REDIS:
                with contextlib.suppress(RetryLater):
                    await HANDLERS[job.kind].run(own.tools, job.key)
    for name in ("posts", "comments"):
        left = await own.sources.database[name].find({"deleted": True}).to_list()
        assert len(left) == 1
        assert "SECRET" not in str(left)
    assert names(await told(own))[-2:] == ["comment.deleted", "post.deleted"]
    for name in ("posts", "comments"):
        assert not await own.sources.database[name].count_documents({"deleted": True})


async def test_a_comment_is_told_once_it_is_screened(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    comment = await own.comment(post, bob)
    run = publishing(Task.PUBLISH_REDIS)[Task.PUBLISH_REDIS, Fact.COMMENT]
    with pytest.raises(RetryLater):
        await run(own.tools, str(comment.id))
    assert await stream_entries(own) == []
    assert "comment.added" in names(await told(own))


async def test_nothing_is_pending_for_events_that_nobody_wants(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await like(world, post, bob)
    for collection in ("posts", "post_likes"):
        document = await world.sources.database[collection].find_one({"outbox": {"$exists": True}})
        assert document is not None
        assert Task.PUBLISH_REDIS.value not in document["outbox"]
        assert "changed_at" not in document


async def test_a_sink_that_is_turned_off_leaves_nothing_pending(own: World) -> None:
    await own.post(await own.user())
    without = changed_sources(own.sources, event_sinks={})
    assert not await drain(Tools(sources=without))
    assert await told(own) == []


async def test_numbers_grow_by_one(own: World) -> None:
    ana, *others = await own.users(4)
    post = await own.post(ana)
    for other in others:
        await like(own, post, other)
    await own.drain()
    numbers = [number for number, _ in await stream_entries(own)]
    assert numbers == list(range(1, 5))


async def test_old_events_are_removed_when_new_ones_come_and_by_gc(own: World) -> None:
    settings, ana = own.sources.settings, await own.user()
    key = stream_key(settings.key_prefix)
    redis: Any = own.redis_of(key)
    oldest = int(now().timestamp() * 1000) - round(settings.events_stream_days * 86_400_000)
    kept = oldest + 600_000
    await redis.xadd(key, {"number": 1, "event": "old"}, id=oldest - 600_000)
    await redis.xadd(key, {"number": 2, "event": "new enough"}, id=kept)
    assert (await collect(own.sources)).removed["old events"] == 1
    assert [row for row, _ in await redis.xrange(key)] == [f"{kept}-0".encode()]
    await redis.delete(key)
    await redis.xadd(key, {"number": 1, "event": "old"}, id=oldest - 600_000)
    await redis.xadd(key, {"number": 2, "event": "new enough"}, id=kept)
    await own.post(ana)
    await own.drain()
    assert [fields[b"event"][:3] for _, fields in await redis.xrange(key)] == [b"new", b'{"s']
