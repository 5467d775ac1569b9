"""Many keys in one call: which one counts a failure, which ones wait, and what concurrent calls do to each other."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from datasources.jobs.outbox import pending_fields
from domain.jobs import Fact, Job, Task
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.handlers import ATTEMPTS, handler_of
from tests.support.waiting import eventually
from tests.support.workers import failures, is_empty, running_worker, stream_of
from workers.handlers import aggregate_counters, apply_in_chunks
from workers.registry import HANDLERS
from workers.runtime import worker
from workers.runtime.call_handler import invoke
from workers.runtime.drain import drain
from workers.runtime.handler import Handler, RetryLater, Tools

LIKES = (Task.COUNT, Fact.POST_LIKE)
KEYS = sorted(str(ObjectId()) for _ in range(10))
BAD = KEYS[3]


class Work:
    """A handler of many keys that raises for one of them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.error = error

    async def run(self, _tools: Tools, *keys: str) -> None:
        self.calls.append(keys)
        if self.error is not None and BAD in keys:
            raise self.error

    async def is_called(self, times: int = 1) -> bool:
        return len(self.calls) >= times


def working(world: World, handler: Handler, **options: Any) -> contextlib.AbstractAsyncContextManager[object]:
    return running_worker(world, "counters", {**HANDLERS, LIKES: handler}, **options)


async def like_posts(world: World, posts: Sequence[PostRecord], fans: Sequence[UserRecord]) -> None:
    await asyncio.gather(*(world.sources.post_likes.like(post.id, fan.id, now()) for post in posts for fan in fans))


async def are_read(world: World) -> bool:
    """Whether the worker has all messages of its queue."""
    groups = await world.redis.xinfo_groups(stream_of(world))
    return [group["pending"] for group in groups] == [await world.redis.xlen(stream_of(world))]


async def counts(world: World, posts: Sequence[PostRecord]) -> list[int]:
    return [(await world.stored_post(post.id)).like_count for post in posts]


async def test_waiting_jobs_are_run_by_one_call(own: World) -> None:
    work = Work()
    async with working(own, handler_of(work.run, batch=len(KEYS) - 3)):
        await own.sources.job_queue.enqueue(Job(*LIKES, key) for key in KEYS)
        await eventually(partial(is_empty, own))
    assert sorted(key for keys in work.calls for key in keys) == KEYS
    assert max(map(len, work.calls)) == len(KEYS) - 3


async def test_a_kind_that_lingers_waits_for_others_until_the_worker_is_full(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_WAITING", len(KEYS))
    work = Work()
    async with working(own, handler_of(work.run, batch=len(KEYS), linger=3600.0)):
        for key in KEYS:
            assert work.calls == []
            await own.sources.job_queue.enqueue([Job(*LIKES, key)])
            await eventually(partial(are_read, own))
        await eventually(partial(is_empty, own))
    assert work.calls == [tuple(KEYS)]


async def test_a_kind_that_lingers_is_done_though_no_others_come(own: World) -> None:
    work = Work()
    async with working(own, handler_of(work.run, linger=0.01)):
        await own.sources.job_queue.enqueue([Job(*LIKES, BAD)])
        await eventually(partial(is_empty, own))
    assert work.calls == [(BAD,)]


async def test_a_worker_that_stops_gives_back_the_jobs_that_linger(own: World) -> None:
    work = Work()
    async with working(own, handler_of(work.run, linger=3600.0)):
        await own.sources.job_queue.enqueue([Job(*LIKES, BAD)])
        await eventually(partial(are_read, own))
    assert work.calls == []
    async with working(own, handler_of(work.run), lease=0.3):
        await eventually(partial(is_empty, own))
    assert work.calls == [(BAD,)]


async def test_only_the_culprit_collects_attempts_and_becomes_a_dead_letter(own: World) -> None:
    work = Work(LookupError("no such counter"))
    async with working(own, handler_of(work.run, batch=len(KEYS))):
        for attempt in range(1, ATTEMPTS + 1):
            await own.sources.job_queue.enqueue(Job(*LIKES, key) for key in KEYS)
            await eventually(partial(is_empty, own))
            assert [failure["attempts"] for failure in await failures(own)] == [attempt]
    (letter,) = [letter async for letter in own.sources.dead_letters.all_dead()]
    assert (letter.job, letter.reason) == (Job(*LIKES, BAD), "LookupError: no such counter")
    done = Counter(keys[0] for keys in work.calls if len(keys) == 1)
    assert done == Counter(dict.fromkeys(KEYS, ATTEMPTS)), "each was tried alone, once each time"


async def test_a_failure_in_a_batch_is_deleted_when_the_job_succeeds_alone(own: World) -> None:
    job = Job(*LIKES, KEYS[0])
    await own.sources.dead_letters.count_failure(job, "once", now())
    async with working(own, handler_of(Work(LookupError()).run, batch=len(KEYS))):
        await own.sources.job_queue.enqueue(Job(*LIKES, key) for key in KEYS)
        await eventually(partial(is_empty, own))
    assert [failure["_id"]["key"] for failure in await failures(own)] == [BAD]


async def test_an_outage_counts_no_attempt_and_jobs_are_not_tried_alone(own: World) -> None:
    work = Work(AutoReconnect("no primary"))
    async with working(own, handler_of(work.run, batch=len(KEYS))):
        await own.sources.job_queue.enqueue(Job(*LIKES, key) for key in KEYS)
        await eventually(partial(is_empty, own))
    assert work.calls == [tuple(KEYS)]
    assert await failures(own) == []


async def test_a_job_that_must_wait_does_not_delay_the_others(own: World) -> None:
    work = Work(RetryLater())
    outcome = await invoke(own.tools, handler_of(work.run, batch=len(KEYS)), KEYS)
    assert outcome.outage is None
    assert sorted(outcome.done) == [key for key in KEYS if key != BAD]
    assert [type(error) for error in outcome.raised.values()] == [RetryLater]


async def test_the_timeout_is_for_a_call_and_only_the_slow_job_counts_an_attempt(own: World) -> None:
    async def run(_tools: Tools, *keys: str) -> None:
        if BAD in keys:
            await asyncio.Event().wait()

    async with working(own, handler_of(run, seconds=0.2, batch=len(KEYS))):
        await own.sources.job_queue.enqueue(Job(*LIKES, key) for key in KEYS)
        await eventually(partial(is_empty, own))
    (failure,) = await failures(own)
    assert (failure["_id"]["key"], failure["attempts"]) == (BAD, 1)
    assert failure["reason"] == "HandlerTimeout: not done in 0.2 s"


async def test_keys_with_more_pending_facts_run_again_after_the_others(own: World) -> None:
    calls: list[tuple[str, ...]] = []

    async def run(_tools: Tools, *keys: str) -> list[str]:
        calls.append(keys)
        return [BAD] if BAD in keys and len(calls) < 5 else []

    async with working(own, handler_of(run, batch=4)):
        await own.sources.job_queue.enqueue(Job(*LIKES, key) for key in KEYS)
        await eventually(partial(is_empty, own))
    assert {key for keys in calls[:3] for key in keys} == set(KEYS), "everyone had a turn before its third"
    assert sum(BAD in keys for keys in calls) >= 3


async def test_a_hot_post_is_counted_last_and_completely(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate_counters, "MAX_FACTS", 4)
    monkeypatch.setattr(apply_in_chunks, "MAX_FACTS", 4)
    ana, fans = await own.user(), await own.users(10)
    posts = [await own.post(ana) for _ in range(6)]
    hot, cold = posts[2], [*posts[:2], *posts[3:]]
    await like_posts(own, [hot], fans)
    await like_posts(own, cold, fans[:1])
    keys = [str(post.id) for post in posts]
    monkeypatch.setattr(apply_in_chunks, "MAX_TRANSACTIONS", 3)
    assert await aggregate_counters.count_post_likes(own.tools, *keys) == {str(hot.id)}
    assert await counts(own, cold) == [1] * len(cold)
    assert 0 < (await own.stored_post(hot.id)).like_count < len(fans)
    assert await drain(own.tools) == set()
    assert await counts(own, [hot]) == [len(fans)]


async def test_concurrent_calls_for_overlapping_posts_count_everything_once(own: World) -> None:
    ana, fans = await own.user(), await own.users(5)
    posts = [await own.post(ana) for _ in range(12)]
    await like_posts(own, posts, fans)
    keys = [str(post.id) for post in posts]
    apply = aggregate_counters.count_post_likes
    await asyncio.gather(*(apply(own.tools, *keys[start:], *keys[:start]) for start in range(0, 12, 3)))
    assert await counts(own, posts) == [len(fans)] * len(posts)
    await asyncio.gather(*(own.sources.post_likes.unlike(post.id, fans[0].id, now()) for post in posts))
    await asyncio.gather(apply(own.tools, *keys[:8]), apply(own.tools, *keys[4:]), like_posts(own, posts, fans[:1]))
    await apply(own.tools, *keys)
    assert await counts(own, posts) == [len(fans)] * len(posts)


async def test_every_counter_is_applied_for_many_targets_at_once(own: World) -> None:
    people = await own.users(6)
    posts = [await own.post(author) for author in people]
    comments = [await own.comment(post, author) for post, author in zip(posts, people, strict=True)]
    for number, comment in enumerate(comments):
        for replier in people[:number]:
            await own.comment(posts[number], replier, parent_id=comment.id)
            await own.sources.comment_likes.like(comment.id, replier.id, now())
            await own.follow(replier, people[number])
    assert await own.drain() == set()
    for number, person in enumerate(people):
        user, post = await own.stored_user(person.id), await own.stored_post(posts[number].id)
        assert (user.follower_count, user.following_count) == (number, len(people) - 1 - number)
        assert (user.post_count, post.comment_count) == (1, 1 + number)
        assert post.preview_comment_ids == [comments[number].id]
        applied = await own.stored_comment(comments[number].id)
        assert (applied.reply_count, applied.like_count) == (number, number)


async def test_pending_facts_are_found_by_the_outbox_index_alone(own: World) -> None:
    """While every like is pending, other indexes look as good, and the planner would keep using them later."""
    ana, likes = await own.user(), own.sources.database["post_likes"]
    post = await own.post(ana)
    rows = 2 * apply_in_chunks.MAX_FACTS
    await likes.insert_many(
        {"target_id": post.id, "user_id": ObjectId(), "liked": True, **pending_fields([Task.COUNT], now())}
        for _ in range(rows)
    )
    await own.sources.database.command("profile", 2)
    try:
        await aggregate_counters.count_post_likes(own.tools, str(post.id))
        await like_posts(own, [post], [ana])
        await aggregate_counters.count_post_likes(own.tools, str(post.id))
    finally:
        await own.sources.database.command("profile", 0)
    profile = own.sources.database["system.profile"]
    finds = profile.find({"op": "query", "ns": likes.full_name, "command.filter.outbox": Task.COUNT.value})
    plans = [(row["planSummary"], row["docsExamined"]) async for row in finds]
    index = "IXSCAN { target_id: 1, outbox: 1 }"
    assert plans == [(index, apply_in_chunks.MAX_FACTS), (index, apply_in_chunks.MAX_FACTS), (index, 0), (index, 1)]
    assert await counts(own, [post]) == [rows + 1]
