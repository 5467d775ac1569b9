"""The runner against real servers: jobs that are done, that fail, that wait, and that stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from config import Settings
from datasources.concurrency.tasks import cancel_tasks
from datasources.jobs import dead_letters
from datasources.jobs.dead_letters import MAX_FIELD_BYTES, MAX_FIELDS
from datasources.jobs.opening import open_consumer
from datasources.jobs.redis_queue import GROUP
from domain.jobs import Fact, Job, Task, jobs_of
from tests.support.emptying import empty, wipe_redis
from tests.support.factories import World, changed_sources, now
from tests.support.handlers import ATTEMPTS, handler_of
from tests.support.waiting import eventually
from tests.support.workers import failures, is_empty, running_worker, stream_of
from workers.registry import HANDLERS
from workers.runtime.handler import RetryLater, Tools
from workers.runtime.outbox_relay import relay_due
from workers.runtime.runner import NoAvifError, UnknownWorkerError, run_workers
from workers.runtime.worker import Worker

Run = Callable[[Tools, str], Awaitable[None]]
LATER = timedelta(hours=1)
LIKES = (Task.COUNT, Fact.POST_LIKE)


@pytest.fixture
async def own(world: World) -> World:
    """A world in which nothing is pending but the work of the test."""
    short = world.sources.settings.model_copy(update={"drain_timeout": 0.5})
    return await empty(World(changed_sources(world.sources, settings=short)))


def working(
    world: World, name: str, run: Run | None = None, *, seconds: float = 10.0
) -> contextlib.AbstractAsyncContextManager[object]:
    """Runs a worker. `run` replaces the handler that counts the likes of a post."""
    handlers = HANDLERS if run is None else {**HANDLERS, LIKES: handler_of(run, seconds=seconds)}
    return running_worker(world, name, handlers)


async def liked_post(world: World) -> ObjectId:
    """A post with one like that is pending to be counted; no job for it is enqueued."""
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await world.sources.post_likes.like(post.id, bob.id, now())
    await wipe_redis(world)
    return post.id


async def likes_of(world: World, post_id: ObjectId) -> int:
    return (await world.stored_post(post_id)).like_count


async def test_a_job_is_done_and_leaves_the_queue(own: World) -> None:
    post_id = await liked_post(own)
    async with working(own, "counters"):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await eventually(partial(likes_of, own, post_id))
        await eventually(partial(is_empty, own))
    assert await likes_of(own, post_id) == 1


async def test_a_job_delivered_three_times_counts_and_notifies_once(own: World) -> None:
    post_id = await liked_post(own)
    author = await own.stored_user((await own.stored_post(post_id)).author_id)
    count, notify = Job(*LIKES, str(post_id)), Job(Task.NOTIFY, Fact.POST_LIKE, str(post_id))
    async with working(own, "counters"), working(own, "notifications"):
        for _ in range(3):
            await own.sources.job_queue.enqueue([count, notify])
            await eventually(partial(is_empty, own))
            await eventually(partial(is_empty, own, "notifications"))
    assert await likes_of(own, post_id) == 1
    likes = [notice for notice in await own.inbox(author) if notice.kind == "POST_LIKED"]
    assert [notice.actor_count for notice in likes] == [1]
    assert (await own.sources.notifications.range_of(author.id)).newest == likes[0].seq


async def test_malformed_messages_become_dead_letters_and_the_others_are_done(own: World) -> None:
    post_id = await liked_post(own)
    stream = stream_of(own)
    malformed: list[dict[Any, Any]] = [
        {"hello": "world"},
        {"task": "count", "fact": "post_like"},
        {"task": "no such task", "fact": "post_like", "key": str(post_id)},
        {"task": "count", "fact": "block", "key": str(post_id)},
        {"task": "count", "fact": "post_like", "key": "no id"},
        {"task": b"\xff\xfe", "fact": "post_like", "key": str(post_id)},
    ]
    with capture_logs() as logs:
        async with working(own, "counters"):
            for message in malformed * 3:
                await own.redis.xadd(stream, message)
            await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
            await eventually(partial(likes_of, own, post_id))
            await eventually(partial(is_empty, own))
    assert [entry["event"] for entry in logs].count("worker.malformed") == len(malformed) * 3
    letters = [letter async for letter in own.sources.dead_letters.all_malformed()]
    assert {(letter.worker, letter.times) for letter in letters} == {("counters", 3)}
    kept = [letter.fields for letter in letters]
    raw = [{_bytes(name): _bytes(value) for name, value in message.items()} for message in malformed]
    assert len(kept) == len(raw)
    assert all(message in kept for message in raw)
    assert await failures(own) == []


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


async def test_kept_malformed_messages_are_bounded_in_size_and_number(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = own.sources.dead_letters
    monkeypatch.setattr(dead_letters, "MAX_MALFORMED", 3)
    huge = {f"{number}".encode() * 400: b"x" * 1_000_000 for number in range(10, 100)}
    assert await letters.add_malformed("counters", huge, now())
    (stored,) = await own.sources.database["malformed"].find().to_list()
    assert len(bson.encode(stored)) < 2 * MAX_FIELDS * MAX_FIELD_BYTES + 1_000
    for number in range(5):
        await letters.add_malformed("counters", {b"number": str(number).encode()}, now())
    assert await letters.add_malformed("counters", huge, now()), "what is there already is counted on"
    assert sorted([letter.times async for letter in letters.all_malformed()]) == [1, 1, 2]


async def test_a_malformed_message_that_comes_again_before_it_is_deleted_stays(own: World) -> None:
    letters, fields = own.sources.dead_letters, {b"task": b"bake"}
    letter = await letters.add_malformed("counters", fields, now())
    assert letter is not None
    await letters.add_malformed("counters", fields, now())
    await letters.delete_malformed(letter)
    (again,) = [letter async for letter in letters.all_malformed()]
    assert again.times == 2
    await letters.delete_malformed(again)
    assert [letter async for letter in letters.all_malformed()] == []


async def test_a_job_that_always_fails_is_a_dead_letter_after_five_attempts_and_can_be_redriven(own: World) -> None:
    post_id = await liked_post(own)
    job = Job(*LIKES, str(post_id))

    async def run(_tools: Tools, _key: str) -> None:
        raise LookupError("the counter has no bottom")

    async def attempts(least: int) -> bool:
        return any(failure["attempts"] >= least for failure in await failures(own))

    async with working(own, "counters", run):
        for attempt in range(1, ATTEMPTS + 1):
            assert await relay_due(own.sources, now() + LATER * attempt) == 1
            await eventually(partial(attempts, attempt))
    (letter,) = [letter async for letter in own.sources.dead_letters.all_dead()]
    assert (letter.job, letter.attempts, letter.dead) == (job, ATTEMPTS, True)
    assert letter.reason == "LookupError: the counter has no bottom"
    like = await own.sources.database["post_likes"].find_one({"target_id": post_id})
    assert like is not None
    assert jobs_of(Fact.POST_LIKE, like) == [Job(Task.NOTIFY, Fact.POST_LIKE, str(post_id))], (
        "only this task is dead-lettered"
    )
    await HANDLERS[Task.NOTIFY, Fact.POST_LIKE].run(own.tools, str(post_id))
    assert await relay_due(own.sources, now() + LATER * 100) == 0, "nobody enqueues what is dead-lettered"

    await own.sources.dead_letters.redrive(job, now())
    async with working(own, "counters"):
        assert await relay_due(own.sources, now()) == 1
        await eventually(partial(likes_of, own, post_id))
    assert await failures(own) == []


async def test_four_failures_and_a_success_leave_no_failure_behind(own: World) -> None:
    post_id, calls = await liked_post(own), 0

    async def run(tools: Tools, key: str) -> None:
        nonlocal calls
        calls += 1
        if calls < ATTEMPTS:
            raise RuntimeError
        await HANDLERS[LIKES].run(tools, key)

    async def called(times: int) -> bool:
        return calls >= times

    async with working(own, "counters", run):
        for attempt in range(1, ATTEMPTS + 1):
            await relay_due(own.sources, now() + LATER * attempt)
            await eventually(partial(called, attempt))
    assert await likes_of(own, post_id) == 1
    assert await failures(own) == []


async def test_an_outage_counts_no_attempt(own: World) -> None:
    post_id, calls = await liked_post(own), 0

    async def run(tools: Tools, key: str) -> None:
        nonlocal calls
        calls += 1
        if calls <= ATTEMPTS * 2:
            raise AutoReconnect("the primary has stepped down")
        await HANDLERS[LIKES].run(tools, key)

    async def called(times: int) -> bool:
        return calls >= times

    async with working(own, "counters", run):
        for attempt in range(1, ATTEMPTS * 2 + 2):
            await relay_due(own.sources, now() + LATER * attempt)
            await eventually(partial(called, attempt))
    assert await failures(own) == []
    assert await likes_of(own, post_id) == 1


async def test_a_job_to_be_retried_later_counts_no_attempt(own: World) -> None:
    post_id, waited = await liked_post(own), asyncio.Event()

    async def run(_tools: Tools, _key: str) -> None:
        waited.set()
        raise RetryLater

    async with working(own, "counters", run):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await waited.wait()
        await eventually(partial(is_empty, own))
    assert await failures(own) == []
    assert await own.sources.database["post_likes"].count_documents({"outbox": "count", "due_at": {"$ne": None}}) == 1


async def test_a_job_over_its_timeout_is_a_failed_attempt(own: World) -> None:
    post_id = await liked_post(own)

    async def run(_tools: Tools, _key: str) -> None:
        await asyncio.Event().wait()

    async with working(own, "counters", run, seconds=0.05):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        (failure,) = await eventually(partial(failures, own))
    assert (failure["attempts"], failure["dead"]) == (1, False)
    assert failure["reason"].startswith("HandlerTimeout: ")


async def test_jobs_of_one_key_are_run_together(own: World) -> None:
    post_id, calls, entered, go_on = await liked_post(own), 0, asyncio.Event(), asyncio.Event()

    async def run(_tools: Tools, _key: str) -> None:
        nonlocal calls
        calls += 1
        entered.set()
        await go_on.wait()

    async def are_two() -> bool:
        """One that is running, and one of the fifty that came since."""
        stream = stream_of(own)
        pending: Any = await own.redis.xpending(stream, GROUP)
        return bool(pending["pending"] == await own.redis.xlen(stream) == 2)

    async with working(own, "counters", run):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await entered.wait()
        for _ in range(50):
            await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await eventually(are_two)
        go_on.set()
        await eventually(partial(is_empty, own))
    assert calls == 2


async def test_after_redis_was_wiped_the_worker_goes_on_and_the_relay_enqueues_everything_again(own: World) -> None:
    ana, *others = await own.users(6)
    post = await own.post(ana)
    await own.drain()
    async with working(own, "counters"):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post.id))])
        await eventually(partial(is_empty, own))
        for other in others:
            await own.sources.post_likes.like(post.id, other.id, now())
            await wipe_redis(own)
        await relay_due(own.sources, now() + LATER)

        async def all_counted() -> bool:
            return await likes_of(own, post.id) == len(others)

        await eventually(all_counted)
    assert await failures(own) == []


async def test_jobs_of_a_killed_worker_are_done_by_another(own: World) -> None:
    post_id, entered = await liked_post(own), asyncio.Event()

    async def hang(_tools: Tools, _key: str) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with open_consumer(own.sources.settings, "counters", "killed") as queue:
        handlers = {**HANDLERS, LIKES: handler_of(hang)}
        killed = Worker(own.tools, queue, handlers=handlers)
        running = asyncio.create_task(killed.run(asyncio.Event()))
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await entered.wait()
        await cancel_tasks([running, *killed._calls])
    async with working(own, "counters"):
        await relay_due(own.sources, now() + LATER)
        await eventually(partial(likes_of, own, post_id))
    assert await likes_of(own, post_id) == 1


async def test_stopping_lets_running_jobs_finish_and_leaves_the_group(own: World) -> None:
    post_id, entered, finished = await liked_post(own), asyncio.Event(), asyncio.Event()

    async def run(tools: Tools, key: str) -> None:
        entered.set()
        await asyncio.sleep(0.2)
        await HANDLERS[LIKES].run(tools, key)
        finished.set()

    async with working(own, "counters", run):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await entered.wait()
    assert finished.is_set()
    assert await likes_of(own, post_id) == 1
    assert await is_empty(own)
    groups: Any = await own.redis.xinfo_consumers(stream_of(own), GROUP)
    assert groups == []


async def test_stopping_does_not_wait_for_ever(own: World) -> None:
    post_id, entered, cancelled = await liked_post(own), asyncio.Event(), asyncio.Event()

    async def run(_tools: Tools, _key: str) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with asyncio.timeout(5), working(own, "counters", run, seconds=60):
        await own.sources.job_queue.enqueue([Job(*LIKES, str(post_id))])
        await entered.wait()
    assert cancelled.is_set()
    assert await failures(own) == [], "being stopped is no attempt"


async def test_an_unknown_worker_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(UnknownWorkerError, match="gardener"):
        await run_workers(settings, ["gardener"])


async def test_avif_without_an_encoder_is_refused_at_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.features.check", lambda name: name != "avif")
    with pytest.raises(NoAvifError, match="PHOTOGRAM_AVIF"):
        await run_workers(settings.model_copy(update={"avif": True}), ["formats"])
