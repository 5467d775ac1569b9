"""Long fan-outs: split once, shared by workers, and pending until the last chunk is done, whatever happens."""

import asyncio
import itertools
import time
from collections.abc import Mapping
from datetime import timedelta

import pytest
from bson import ObjectId

from datasources.feed import fan_outs
from datasources.feed.fan_outs import CHUNK_LEASE
from datasources.jobs.outbox import MAX_PAUSE
from datasources.telemetry.metrics import REGISTRY
from domain.jobs import Fact, Job, Task
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.fan_outs import (
    begin_fan_out,
    create_followed_author,
    feeds_with,
    ids_of,
    is_fan_out_pending,
    open_chunk_ids,
)
from tests.support.feeds import walk_feed
from tests.support.interruptions import interruption
from workers.handlers import fan_out as fan_out_module
from workers.handlers.fan_out import fan_out, fan_out_chunk
from workers.runtime import drain
from workers.runtime.handler import RetryLater
from workers.runtime.outbox_relay import relay_due

CHUNK = 2


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out_module, "CHUNK", CHUNK)
    monkeypatch.setattr(fan_out_module, "STEP", CHUNK)


async def split(world: World, author: UserRecord) -> PostRecord:
    """A new post whose fan-out is split, and no chunk done."""
    post = await world.post(author)
    await begin_fan_out(world, post.id)
    return post


async def delete(world: World, post: PostRecord) -> None:
    await world.sources.posts.delete(post.id, post.author_id, now())


@pytest.mark.parametrize("count", [0, 1, CHUNK])
async def test_a_fan_out_of_one_chunk_is_not_split(world: World, count: int) -> None:
    author, fans = await create_followed_author(world, count)
    post = await split(world, author)
    assert await open_chunk_ids(world, post.id) == []
    assert await feeds_with(world, post.id) == ids_of(fans)
    assert not await is_fan_out_pending(world, post.id)


@pytest.mark.parametrize("count", [CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1])
async def test_chunks_hold_every_follower_once(world: World, count: int) -> None:
    author, fans = await create_followed_author(world, count)
    post = await split(world, author)
    chunks = await world.sources.database["fan_outs"].find({"post_id": post.id}).to_list()
    held = [
        await world.sources.followers.of_author(author.id, above=chunk["above"], upto=chunk["last"]) for chunk in chunks
    ]
    assert max(map(len, held)) == CHUNK
    assert sorted(itertools.chain(*held)) == sorted(ids_of(fans))


async def test_a_chunk_of_a_very_large_author_is_done_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_outs, "MAX_CHUNKS", 2)
    author, fans = await create_followed_author(world, 10)
    post = await split(world, author)
    assert len(await open_chunk_ids(world, post.id)) == 2  # of six followers, and of four
    for number in range(1, 6):
        await fan_out_chunk(world.tools, (await open_chunk_ids(world, post.id))[number % 2 - 1])
        assert len(await feeds_with(world, post.id)) == CHUNK * number
        assert await is_fan_out_pending(world, post.id) is (number < 5)
    assert await feeds_with(world, post.id) == ids_of(fans)
    assert await open_chunk_ids(world, post.id) == []


async def test_a_chunk_is_not_taken_back_by_a_worker_that_has_lost_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_outs, "MAX_CHUNKS", 1)
    author, fans = await create_followed_author(world, 7)
    post = await split(world, author)
    (key,) = await open_chunk_ids(world, post.id)

    async def others_go_on() -> None:
        ended = {"$set": {"leased_until": now() - CHUNK_LEASE}}
        await world.sources.database["fan_outs"].update_one({"_id": ObjectId(key)}, ended)
        for _ in range(2):
            await fan_out_chunk(world.tools, *await open_chunk_ids(world, post.id))

    with interruption(world.sources.fan_outs, "advance_chunk", others_go_on):
        await fan_out_chunk(world.tools, key)
    assert len(await feeds_with(world, post.id)) == 2 * CHUNK
    for _ in range(2):
        await fan_out_chunk(world.tools, *await open_chunk_ids(world, post.id))
    assert await feeds_with(world, post.id) == ids_of(fans)
    assert not await is_fan_out_pending(world, post.id)


async def test_messages_of_a_chunk_do_not_multiply(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of the lane takes so long that the relay enqueues again, in each turn, whatever waits."""
    monkeypatch.setattr(fan_outs, "MAX_CHUNKS", 1)
    author, _ = await create_followed_author(world, 14)
    post = await split(world, author)
    messages = await open_chunk_ids(world, post.id)

    async def enqueue(jobs: Mapping[Job, str | None]) -> None:
        messages.extend(job.key for job in jobs if job.task is Task.FAN_OUT_CHUNK)

    monkeypatch.setattr(world.sources.job_queue, "enqueue_traced", enqueue)
    for step in range(1, 7):
        await relay_due(world.sources, now() + 2 * MAX_PAUSE)
        queued = messages.copy()
        messages.clear()
        for key in queued:
            await fan_out_chunk(world.tools, key)
        assert len(await feeds_with(world, post.id)) == CHUNK * step
        assert len(messages) == 1


async def test_a_chunk_that_goes_on_pauses_in_proportion_to_its_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_outs, "MAX_CHUNKS", 1)
    monkeypatch.setattr(fan_out_module, "STEP_SECONDS", 0.3)
    longest = world.sources.settings.model_copy(update={"large_fan_out_pause": 100.0})
    monkeypatch.setattr(world.sources, "settings", longest)
    author, fans = await create_followed_author(world, 2 * CHUNK)
    post = await split(world, author)
    (key,) = await open_chunk_ids(world, post.id)
    began = time.monotonic()
    await fan_out_chunk(world.tools, key)
    assert time.monotonic() - began >= 0.3
    await world.drain()
    assert await feeds_with(world, post.id) == ids_of(fans)


async def test_a_chunk_of_many_steps_is_drained_and_what_is_left_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out_module, "CHUNK", 1)
    monkeypatch.setattr(fan_out_module, "STEP", 1)
    monkeypatch.setattr(fan_outs, "MAX_CHUNKS", 1)
    author, fans = await create_followed_author(world, 25)
    post = await split(world, author)
    with monkeypatch.context() as few:
        few.setattr(drain, "MAX_ROUNDS", 2)
        left = await world.drain()
    assert len(await feeds_with(world, post.id)) == 2
    assert left == await drain.pending_jobs(world.tools)
    assert left > {Job(Task.FAN_OUT, Fact.POST, str(post.id))}
    assert await world.drain() == set()
    assert await feeds_with(world, post.id) == ids_of(fans)
    assert not await is_fan_out_pending(world, post.id)


async def test_how_late_a_post_to_many_comes_is_counted_from_its_beginning_once_for_each_chunk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_outs, "MAX_CHUNKS", 2)
    author, _ = await create_followed_author(world, 7)
    post = await world.post(author)
    await fan_out(world.tools, str(post.id))
    begun = now() - timedelta(seconds=400)
    await world.sources.database["fan_outs"].update_one({"post_id": post.id}, {"$set": {"pending_since": begun}})
    before = late_chunks()
    await world.drain()
    assert late_chunks() == before + 2


def late_chunks() -> float:
    """How many chunks were done five to ten minutes after their fan-out began."""
    within = [
        REGISTRY.get_sample_value("photogram_large_fan_out_seconds_bucket", {"le": le}) for le in ("300.0", "600.0")
    ]
    return (within[1] or 0) - (within[0] or 0)


async def test_a_fan_out_is_pending_until_its_last_chunk_is_done(world: World) -> None:
    author, fans = await create_followed_author(world, 5)
    post = await split(world, author)
    for chunk in await open_chunk_ids(world, post.id):
        assert await is_fan_out_pending(world, post.id)
        await fan_out_chunk(world.tools, chunk)
    assert await feeds_with(world, post.id) == ids_of(fans)
    assert not await is_fan_out_pending(world, post.id)


async def test_a_fan_out_enqueued_again_does_not_run_twice_at_once(world: World) -> None:
    author, _ = await create_followed_author(world, 5)
    post = await split(world, author)
    chunks = await open_chunk_ids(world, post.id)
    for _ in range(2):
        with pytest.raises(RetryLater):
            await fan_out(world.tools, str(post.id))
    assert await open_chunk_ids(world, post.id) == chunks
    assert await feeds_with(world, post.id) == set()


async def test_concurrent_jobs_split_a_post_once(world: World) -> None:
    author, fans = await create_followed_author(world, 5)
    post = await world.post(author)
    await asyncio.gather(*(begin_fan_out(world, post.id) for _ in range(4)), return_exceptions=True)
    assert len(await open_chunk_ids(world, post.id)) == 3
    await world.drain()
    assert await feeds_with(world, post.id) == ids_of(fans)


async def test_a_leased_chunk_belongs_to_one_worker_until_the_lease_ends(world: World) -> None:
    author, fans = await create_followed_author(world, 3)
    post = await split(world, author)
    first, second = await open_chunk_ids(world, post.id)
    await world.sources.fan_outs.lease_chunk(ObjectId(first), now())
    with pytest.raises(RetryLater):
        await fan_out_chunk(world.tools, first)
    assert await world.drain() == {
        Job(Task.FAN_OUT_CHUNK, Fact.FAN_OUT, first),
        Job(Task.FAN_OUT, Fact.POST, str(post.id)),
    }
    assert await open_chunk_ids(world, post.id) == [first]
    ended = {"$set": {"leased_until": now() - CHUNK_LEASE}}
    await world.sources.database["fan_outs"].update_one({"_id": ObjectId(first)}, ended)
    await fan_out_chunk(world.tools, first)
    await fan_out_chunk(world.tools, second)  # a late job finds nothing
    assert await feeds_with(world, post.id) == ids_of(fans)
    assert not await is_fan_out_pending(world, post.id)


@pytest.mark.parametrize("deleted", [False, True])
async def test_every_feed_is_right_in_the_end_whatever_write_a_worker_dies_before(
    world: World, *, deleted: bool
) -> None:
    author, fans = await create_followed_author(world, 5)
    for before in itertools.count():
        post = await world.post(author)
        if deleted:
            await world.drain()
            await delete(world, post)
        died = await dies_before_write(lambda post=post: begin_fan_out(world, post.id), before)  # type: ignore[misc]
        for chunk in await open_chunk_ids(world, post.id):
            died |= await dies_before_write(lambda chunk=chunk: fan_out_chunk(world.tools, chunk), before)  # type: ignore[misc]
        taken = {"$set": {"leased_until": now() - CHUNK_LEASE}}
        await world.sources.database["fan_outs"].update_many({}, taken)
        await world.drain()
        assert await feeds_with(world, post.id) == (set() if deleted else ids_of(fans))
        assert await open_chunk_ids(world, post.id) == []
        assert not await is_fan_out_pending(world, post.id)
        if not died:
            break
    assert before > 3


@pytest.mark.parametrize("done", [0, 1, 2])
async def test_a_post_deleted_during_its_fan_out_is_in_no_feed(world: World, done: int) -> None:
    author, _ = await create_followed_author(world, 5)
    post = await split(world, author)
    for chunk in (await open_chunk_ids(world, post.id))[:done]:
        await fan_out_chunk(world.tools, chunk)
    await delete(world, post)
    assert await world.drain() == set()
    assert await feeds_with(world, post.id) == set()
    assert await world.sources.posts.by_ids([post.id]) == [None]
    await audit(world, seconds=0, has_files=False)


async def test_entries_of_a_post_deleted_meanwhile_are_removed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, _ = await create_followed_author(world, 5)
    for work in (fan_out, fan_out_chunk):
        post = await world.post(author)
        key = str(post.id)
        if work is fan_out_chunk:
            await begin_fan_out(world, post.id)
            key = (await open_chunk_ids(world, post.id))[0]
        else:
            monkeypatch.setattr(fan_out_module, "CHUNK", 9)

        async def delete_completely(post: PostRecord = post) -> None:
            await delete(world, post)
            await world.drain()  # others remove the entries that they know of

        with interruption(world.sources.feed_entries, "push", delete_completely):
            await work(world.tools, key)
        monkeypatch.setattr(fan_out_module, "CHUNK", CHUNK)
        await world.drain()
        assert await feeds_with(world, post.id) == set()
        assert await open_chunk_ids(world, post.id) == []


async def test_following_or_unfollowing_during_a_fan_out_gives_the_right_feed(world: World) -> None:
    author, fans = await create_followed_author(world, 5)
    post = await split(world, author)
    gone, late = fans[3], await world.user()
    await world.sources.follows.unfollow(gone.id, author.id, now=now())
    await world.follow(late, author)
    await world.open_feeds(late)
    assert await feeds_with(world, post.id) == ids_of(fans) - {gone.id} | {late.id}
    await audit(world, seconds=0, has_files=False)


async def test_a_chunk_that_keeps_failing_is_a_dead_letter_and_can_be_redriven(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, fans = await create_followed_author(world, 3)
    post = await split(world, author)
    key = (await open_chunk_ids(world, post.id))[0]
    job = Job(Task.FAN_OUT_CHUNK, Fact.FAN_OUT, key)
    for _ in range(5):
        await world.sources.dead_letters.count_failure(job, "it broke", now())
    assert await world.drain() == {Job(Task.FAN_OUT, Fact.POST, str(post.id))}
    assert await open_chunk_ids(world, post.id) == [key]
    await world.sources.dead_letters.redrive(job, now())
    assert await world.drain() == set()
    assert await feeds_with(world, post.id) == ids_of(fans)


@pytest.mark.parametrize("count", [CHUNK, 2 * CHUNK])
async def test_only_live_feeds_are_written_to_and_a_returning_owner_finds_everything(world: World, count: int) -> None:
    author, fans = await create_followed_author(world, count)
    away = fans[0]
    await world.sources.database["feeds"].update_one(
        {"_id": away.id}, {"$set": {"live": False}, "$unset": {"floor": 1}}
    )
    post = await split(world, author)
    await world.drain()
    assert await feeds_with(world, post.id) == ids_of(fans) - {away.id}
    assert await walk_feed(world, away, 5, backward=False) == [post.caption]
    await world.drain()
    assert await feeds_with(world, post.id) == ids_of(fans)
