"""What every job queue promises to workers and to the outbox relay, be it Redis Streams or SNS with SQS.

Messages come at least once, in any order.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from structlog.testing import capture_logs

import datasources.feed.fan_outs
import workers.handlers.fan_out
from config import Settings
from datasources.concurrency.tasks import cancel_tasks
from datasources.jobs import redis_queue, sns_queue
from datasources.jobs.dead_letters import LOST
from datasources.jobs.opening import open_consumer, open_job_queue
from datasources.jobs.queue import Message, QueueConsumer
from datasources.outages import is_outage
from datasources.sources import open_sources
from domain.jobs import Fact, Job, Task
from tests.support.emptying import empty, lose_jobs
from tests.support.factories import World, now, opened
from tests.support.fan_outs import begin_fan_out, create_followed_author
from tests.support.handlers import ATTEMPTS, handler_of
from tests.support.own_databases import own_database
from tests.support.waiting import eventually
from tests.support.workers import failures, is_empty, running_worker
from workers.registry import HANDLERS
from workers.runtime.handler import Tools
from workers.runtime.outbox_relay import relay_due

pytestmark = pytest.mark.usefixtures("patient_queue")

LIKES, FAN_OUT = (Task.COUNT, Fact.POST_LIKE), (Task.FAN_OUT, Fact.POST)
CHUNK = (Task.FAN_OUT_CHUNK, Fact.FAN_OUT)
LEASE = 1.0  # the shortest of SQS
HOUR = 3600.0


@pytest.fixture(scope="module", params=["redis", "sns-sqs"])
def queue_settings(request: pytest.FixtureRequest, shared_settings: Settings) -> Settings:
    if request.param == "redis":
        return shared_settings.model_copy(update={"job_queue": "redis"})
    settings: Settings = request.getfixturevalue("amazon").settings(shared_settings)
    return settings


@pytest.fixture(scope="module")
async def world(queue_settings: Settings) -> AsyncIterator[World]:
    with own_database(queue_settings) as settings:
        async with opened(settings) as world:
            yield world


@pytest.fixture
async def own(world: World) -> World:
    return await empty(world)


def consumer(
    world: World, name: str, *, worker: str = "counters", lease: float = HOUR
) -> contextlib.AbstractAsyncContextManager[QueueConsumer]:
    return open_consumer(world.sources.settings, worker, name, lease)


def likes(number: int) -> list[Job]:
    return [Job(*LIKES, str(ObjectId())) for _ in range(number)]


async def read(queue: QueueConsumer, number: int) -> list[Message]:
    """Reads until so many messages have come; takes over those of others too."""
    messages: list[Message] = []

    async def have_come() -> bool:
        messages.extend(await queue.read(500, 0.1))
        messages.extend(await queue.claim_expired(500))
        return len(messages) >= number

    await eventually(have_come)
    assert len(messages) == number
    return messages


async def comes_nothing(queue: QueueConsumer, *, seconds: float = 1.0) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if await queue.read(500, 0.1) or await queue.claim_expired(500):
            return False
    return True


def ids(messages: Sequence[Message]) -> list[bytes]:
    return [message.id for message in messages]


def jobs(messages: Sequence[Message]) -> set[Job | None]:
    return {message.job for message in messages}


async def test_every_job_comes_to_its_own_worker_and_to_no_other(own: World) -> None:
    counted, fanned = likes(35), [Job(*FAN_OUT, str(ObjectId())) for _ in range(3)]
    async with consumer(own, "one") as counters, consumer(own, "two", worker="feed") as feed:
        await counters.read(1, 0.1)
        await own.sources.job_queue.enqueue([*counted, *fanned])
        assert jobs(await read(counters, 35)) == set(counted)
        assert jobs(await read(feed, 3)) == set(fanned)
        assert await comes_nothing(counters)
        assert (await own.sources.job_queue.depth("counters"), await own.sources.job_queue.depth("feed")) == (35, 3)


async def test_a_message_tells_when_its_job_was_enqueued(own: World) -> None:
    before = now()
    await own.sources.job_queue.enqueue(likes(1))
    async with consumer(own, "one") as queue:
        (message,) = await read(queue, 1)
    assert message.origin.at is not None
    assert abs((message.origin.at - before).total_seconds()) < 60


async def test_what_is_in_flight_comes_to_nobody_else_and_what_is_acknowledged_never_again(own: World) -> None:
    await own.sources.job_queue.enqueue(likes(25))
    async with consumer(own, "one") as one, consumer(own, "two") as two:
        messages = await read(one, 25)
        assert await comes_nothing(two)
        await one.acknowledge([each for each in ids(messages) for _ in range(2)])  # one that came twice, was done twice
        await one.acknowledge(ids(messages))
        assert await is_empty(own)
        await one.leave()
        assert await comes_nothing(two)


async def test_a_lease_that_is_renewed_does_not_expire_and_another_does(own: World) -> None:
    await own.sources.job_queue.enqueue(likes(12))
    async with consumer(own, "one", lease=LEASE) as one, consumer(own, "two", lease=LEASE) as two:
        messages = await read(one, 12)
        renewed, others = messages[:11], messages[11:]

        async def are_taken_over() -> list[Message]:
            await one.renew_leases(ids(renewed))
            return await two.read(500, 0.1) or await two.claim_expired(500)

        started = time.monotonic()
        assert ids(await eventually(are_taken_over)) == ids(others)
        while time.monotonic() < started + 3 * LEASE:
            await one.renew_leases(ids(renewed))
            await two.renew_leases(ids(others))
            assert await comes_nothing(two, seconds=0)
            await asyncio.sleep(LEASE / 4)


async def test_who_takes_over_learns_whether_the_work_had_begun(own: World) -> None:
    await own.sources.job_queue.enqueue(likes(2))
    async with consumer(own, "dead", lease=LEASE) as dead, consumer(own, "alive", lease=LEASE) as alive:
        begun, other = await read(dead, 2)
        await dead.mark_started([begun.id])
        taken = {message.id: message.lost_by for message in await read(alive, 2)}
        assert taken == {begun.id: "dead", other.id: None}


async def test_what_a_stopping_worker_gives_back_comes_at_once_and_was_not_lost(own: World) -> None:
    await own.sources.job_queue.enqueue(likes(12))
    async with consumer(own, "stopping") as stopping, consumer(own, "next") as following:
        messages = await read(stopping, 12)
        await stopping.mark_started(ids(messages[:3]))
        await stopping.leave(ids(messages))
        again = await read(following, 12)
        assert set(ids(again)) == set(ids(messages))
        assert {message.lost_by for message in again} == {None}


@pytest.mark.parametrize("act", ["renew_leases", "claim_expired", "mark_started", "acknowledge", "leave"])
async def test_every_operation_works_after_the_queue_has_lost_everything(own: World, act: str) -> None:
    await own.sources.job_queue.enqueue(likes(1))
    async with consumer(own, "orphan", lease=LEASE) as queue:
        messages = ids(await read(queue, 1))
        await lose_jobs(own)
        acts: dict[str, Callable[[], Awaitable[Any]]] = {
            "renew_leases": partial(queue.renew_leases, messages),
            "claim_expired": partial(queue.claim_expired, 10),
            "mark_started": partial(queue.mark_started, messages),
            "acknowledge": partial(queue.acknowledge, messages),
            "leave": partial(queue.leave, messages),
        }
        assert not await acts[act]()
        await queue.read(1, 0.1)
        await own.sources.job_queue.enqueue(likes(1))
        await read(queue, 1)


async def test_the_relay_makes_good_what_the_queue_has_lost(own: World) -> None:
    ana, fan = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await own.sources.post_likes.like(post.id, fan.id, now())
    await lose_jobs(own)
    async with consumer(own, "one") as queue:
        assert await comes_nothing(queue)
        (like,) = await own.sources.database["post_likes"].find({"outbox": "count"}).to_list()
        assert await relay_due(own.sources, like["due_at"]) == 1
        assert jobs(await read(queue, 1)) == {Job(*LIKES, str(post.id))}


async def test_malformed_messages_come_as_they_are_and_can_be_put_back(own: World) -> None:
    malformed: list[dict[bytes, bytes]] = [
        {b"hello": b"world"},
        {b"task": b"count", b"fact": b"post_like", b"key": b"no id"},
        {b"task": b"no such task", b"fact": b"post_like", b"key": str(ObjectId()).encode()},
    ]
    async with consumer(own, "one") as queue:
        await queue.read(1, 0.1)
        for fields in malformed:
            await own.sources.job_queue.put_back("counters", fields)
        messages = await read(queue, len(malformed))
        assert jobs(messages) == {None}
        assert sorted(map(str, malformed)) == sorted(str(message.fields) for message in messages)


async def test_jobs_that_fail_become_dead_letters_and_leave_the_queue(own: World) -> None:
    poison, good = likes(2)
    done: list[str] = []

    async def run(_tools: Tools, key: str) -> None:
        if key == poison.key:
            raise LookupError("the counter has no bottom")
        done.append(key)

    async def attempts(number: int) -> bool:
        return [failure["attempts"] for failure in await failures(own)] == [number]

    async with running_worker(own, "counters", {**HANDLERS, LIKES: handler_of(run)}):
        for number in range(1, ATTEMPTS + 1):
            await own.sources.job_queue.enqueue([poison, good])
            await eventually(partial(attempts, number))
        await eventually(partial(is_empty, own))
    (letter,) = [letter async for letter in own.sources.dead_letters.all_dead()]
    assert (letter.job, letter.attempts) == (poison, ATTEMPTS)
    assert set(done) == {good.key}


async def test_a_dead_workers_job_is_done_by_another_which_counts_the_loss_until_it_is_done(own: World) -> None:
    (job,) = likes(1)
    begun, lost = asyncio.Event(), list[Any]()

    async def hang(_tools: Tools, _key: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def note(_tools: Tools, _key: str) -> None:
        lost.extend(await failures(own))

    async with running_worker(own, "counters", {LIKES: handler_of(hang)}, consumer="dead", lease=LEASE) as running:
        await own.sources.job_queue.enqueue([job])
        await asyncio.wait_for(begun.wait(), 10)
        await cancel_tasks([running])
    async with running_worker(own, "counters", {LIKES: handler_of(note)}, consumer="alive", lease=LEASE):
        await eventually(partial(is_empty, own))
    assert [(each["attempts"], each["reason"]) for each in lost] == [(1, LOST)]
    assert await failures(own) == []


async def test_nothing_is_enqueued_to_a_queue_that_is_too_long(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_queue, "MAX_QUEUE_LENGTH", 5)
    monkeypatch.setattr(sns_queue, "MAX_QUEUE_LENGTH", 5)
    monkeypatch.setattr(sns_queue, "DEPTH_SECONDS", 0.0)
    first = likes(5)
    settings = own.sources.settings
    async with open_job_queue(settings, own.sources.redis) as job_queue, consumer(own, "late") as queue:
        for job in [*first, *likes(20)]:
            await job_queue.enqueue([job, Job(*FAN_OUT, job.key)])
        assert await job_queue.depth("counters") == 5
        messages = await read(queue, 5)
        assert jobs(messages) == set(first), "waiting messages are never dropped"
        await queue.acknowledge(ids(messages))

        async def enqueues_again() -> bool:
            await job_queue.enqueue(likes(1))
            return not await is_empty(own)

        await eventually(enqueues_again)


async def test_concurrent_jobs_of_one_key_are_one_or_two_messages(own: World) -> None:
    (job,) = likes(1)
    await asyncio.gather(*(own.sources.job_queue.enqueue([job]) for _ in range(100)))

    async def has_come() -> int:
        return await own.sources.job_queue.depth("counters")

    assert 1 <= await eventually(has_come) <= 2


async def test_an_unreachable_queue_delays_one_enqueue_and_not_the_next_ones(own: World) -> None:
    nowhere = {"redis_url": "redis://127.0.0.1:9/0", "aws_endpoint": "http://127.0.0.1:9"}
    settings = own.sources.settings.model_copy(update=nowhere)
    async with open_sources(settings) as away, open_consumer(settings, "counters", "one") as queue:
        with capture_logs() as logs:
            for _ in range(50):
                await away.job_queue.enqueue(likes(1))
        assert [entry["event"] for entry in logs].count("job_queue.unanswered") == 1
        calls: list[Awaitable[Any]] = [
            *(away.job_queue.ping(), away.job_queue.depth("counters"), away.job_queue.put_back("counters", {})),
            *(queue.read(1, 0.1), relay_due(away, now())),
        ]
        for call in calls:
            with pytest.raises(Exception) as raised:
                await call
            assert is_outage(raised.value), raised.value


async def test_posts_to_few_followers_do_not_wait_for_chunks_of_posts_to_many(own: World) -> None:
    """No chunk is ever done, and there are more of them than a worker reads."""
    chunks, posts = [Job(*CHUNK, str(ObjectId())) for _ in range(60)], [Job(*FAN_OUT, str(ObjectId()))]
    fanned_out, is_over = asyncio.Event(), asyncio.Event()

    async def stand_still(_tools: Tools, *_keys: str) -> None:
        await is_over.wait()

    async def note(_tools: Tools, *_keys: str) -> None:
        fanned_out.set()

    handlers = {
        CHUNK: handler_of(stand_still, concurrency=HANDLERS[CHUNK].spec.concurrency),
        FAN_OUT: handler_of(note, batch=HANDLERS[FAN_OUT].spec.batch),
    }
    async with running_worker(own, "feed", handlers), running_worker(own, "large_fan_outs", handlers):
        await own.sources.job_queue.enqueue(chunks)
        await own.sources.job_queue.enqueue(posts)
        await asyncio.wait_for(fanned_out.wait(), 20)
        is_over.set()


async def test_chunks_that_an_older_version_enqueued_for_the_feed_worker_are_done(own: World) -> None:
    job, done = Job(*CHUNK, str(ObjectId())), asyncio.Event()
    fields = {name.encode(): value.encode() for name, value in msgspec.to_builtins(job).items()}

    async def note(_tools: Tools, *_keys: str) -> None:
        done.set()

    async with running_worker(own, "feed", {**HANDLERS, CHUNK: handler_of(note)}):
        await own.sources.job_queue.put_back("feed", fields)
        await asyncio.wait_for(done.wait(), 20)
        await eventually(lambda: is_empty(own, "feed"))


async def test_a_post_to_some_thousands_does_not_wait_until_one_to_millions_is_done(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunks of the larger post come first. A step of each is done, and then it waits behind the others."""
    monkeypatch.setattr(workers.handlers.fan_out, "CHUNK", 1)
    monkeypatch.setattr(workers.handlers.fan_out, "STEP", 1)
    monkeypatch.setattr(datasources.feed.fan_outs, "MAX_CHUNKS", 2)
    large, small = await create_followed_author(own, 12), await create_followed_author(own, 2)
    order: list[ObjectId] = []
    for author, _ in (large, small):
        await begin_fan_out(own, (await own.post(author)).id)

    async def noted(tools: Tools, key: str) -> None:
        if (chunk := await own.sources.database["fan_outs"].find_one({"_id": ObjectId(key)})) is not None:
            order.append(chunk["author_id"])
        await HANDLERS[CHUNK].run(tools, key)

    handlers = {CHUNK: handler_of(noted, concurrency=1)}
    async with running_worker(own, "large_fan_outs", handlers):
        await eventually(lambda: is_all_fanned_out(own))
    assert (order.count(large[0].id), order.count(small[0].id)) == (12, 2)
    last = max(number for number, author_id in enumerate(order) if author_id == small[0].id)
    assert last < 12, "the smaller post was done last"


async def is_all_fanned_out(world: World) -> bool:
    return await world.sources.database["fan_outs"].count_documents({}) == 0
