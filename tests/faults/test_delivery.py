"""Jobs that come three times in any order, that make no sense or that fail, through queues to workers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import msgspec
import pytest
from bson import ObjectId

from config import Settings
from datasources.concurrency.tasks import run_all
from datasources.jobs.opening import open_consumer
from datasources.jobs.outbox import MAX_PAUSE
from deploy.cli.dead_letters import run_redrive
from domain.jobs import JOBS, WORKERS, Fact, Job, Task
from domain.records.posts import PostRecord
from tests.support.actions import Action, Like, random_actions
from tests.support.auditing import audit, count_pending
from tests.support.emptying import lose_jobs
from tests.support.factories import World, now, opened
from tests.support.handlers import ATTEMPTS
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.waiting import eventually
from workers.maintenance.checks.files import MISSING_FILES
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs
from workers.runtime.handler import Handler, Tools
from workers.runtime.outbox_relay import relay_due
from workers.runtime.worker import Worker

CONSUMERS = 2  # that compete for each queue
PATIENCE = 120.0
LATER = timedelta(hours=1)
LIKES = (Task.COUNT, Fact.POST_LIKE)
SHOWN = ("users", "posts", "comments", "follows", "post_likes", "feed_entries", "notifications", "inboxes")

PUT_AT_ONCE = 16
Message = tuple[str, Mapping[bytes, bytes]]
Record = Callable[[str, object], None]


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    async with opened(settings) as world:
        yield world


@dataclass
class Story:
    """What users did after the first posts, and the messages of the pending jobs, of which none is delivered yet."""

    posts: list[PostRecord]
    actions: list[Action]
    messages: list[Message]

    @classmethod
    async def create(cls, world: World, rng: Random, events: int) -> "Story":
        """A story of at least so many jobs."""
        users = await world.users(12 + events // 20)
        posts = [await world.post(user) for user in users[:10]]
        await world.open_feeds(*users)
        actions = random_actions(rng, users, posts, events)
        for action in actions:
            await action.do(world)
        await lose_jobs(world)
        jobs = sorted(await pending_jobs(world.tools))
        assert len(jobs) >= events
        return cls(posts, actions, [(JOBS[job.kind].worker, fields_of(job)) for job in jobs])


def fields_of(job: Job) -> Mapping[bytes, bytes]:
    """The fields of a message for a job."""
    return {name.encode(): value.encode() for name, value in msgspec.to_builtins(job).items()}


@asynccontextmanager
async def running_workers(
    world: World, handlers: Mapping[tuple[Task, Fact], Handler] = HANDLERS
) -> AsyncIterator[None]:
    """Runs every worker, with competing consumers, during the block."""
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for name in WORKERS:
            for number in range(CONSUMERS):
                queue = await stack.enter_async_context(open_consumer(world.sources.settings, name, f"{name}-{number}"))
                group.create_task(Worker(world.tools, queue, handlers=handlers, read_wait=0.05).run(stopping))
        try:
            yield
        finally:
            stopping.set()  # being cancelled is not enough: redis-py may swallow that


async def deliver(world: World, messages: Sequence[Message]) -> None:
    """Puts messages on the workers' queues, in about this order. Waits until no queue holds any."""
    await run_all(PUT_AT_ONCE, lambda message: world.sources.job_queue.put_back(*message), messages)
    await eventually(lambda: are_queues_empty(world), seconds=PATIENCE)


async def relay_until_drained(world: World) -> None:
    """Enqueues again the jobs that came before what they wait for, and not once, because it enqueues both at once."""
    moments = count(1)

    async def is_drained() -> bool:
        await relay_due(world.sources, now() + 2 * MAX_PAUSE * next(moments))
        return not await count_pending(world, limit=1)

    await eventually(is_drained, seconds=PATIENCE)


async def are_queues_empty(world: World) -> bool:
    """Whether no message waits or is in flight."""
    return not any([await world.sources.job_queue.depth(worker) for worker in WORKERS])


async def shown_documents(world: World) -> dict[str, list[dict[str, Any]]]:
    """All documents that clients can see, with all their fields."""
    return {name: await world.sources.database[name].find(sort=[("_id", 1)]).to_list() for name in SHOWN}


async def test_jobs_that_come_three_times_in_any_order_count_once(
    world: World, rng: Random, full_size: bool, record_property: Record
) -> None:
    story = await Story.create(world, rng, 1_000 if full_size else 100)
    thrice = story.messages * 3
    rng.shuffle(thrice)
    async with running_workers(world):
        await deliver(world, thrice)
        await relay_until_drained(world)
        await audit(world, seconds=0, has_files=False)
        stored, expected = await stored_outcomes(world), await expected_outcomes(world, story.actions, story.posts)
        assert (count_lost(stored, expected), count_doubled(stored, expected)) == (0, 0)
        assert stored == expected
        applied = await shown_documents(world)
        await deliver(world, rng.sample(thrice, len(thrice)))
    assert await shown_documents(world) == applied, "jobs that come when all is done change nothing"
    await audit(world, seconds=0, has_files=False)
    record_property("events", len(story.messages))


class Broken:
    """Counts likes, but fails for one post until it is repaired."""

    def __init__(self, post_id: ObjectId) -> None:
        self.job = Job(*LIKES, str(post_id))
        self.is_repaired = False

    async def count(self, tools: Tools, *keys: str) -> Any:
        if self.job.key in keys and not self.is_repaired:
            raise LookupError("the counter has no bottom")
        return await HANDLERS[LIKES].run(tools, *keys)

    @property
    def handlers(self) -> Mapping[tuple[Task, Fact], Handler]:
        return {**HANDLERS, LIKES: Handler(self.count, HANDLERS[LIKES].spec)}


def malformed(key: str) -> list[Message]:
    """Five messages that make no sense."""
    return [
        ("counters", {b"hello": b"world"}),
        ("counters", {b"task": b"count", b"fact": b"block", b"key": key.encode()}),
        ("notifications", {b"task": b"notify", b"fact": b"post_like", b"key": b"no id"}),
        ("feed", {b"task": b"\xff\xfe", b"fact": b"follow", b"key": key.encode()}),
        ("janitor", {b"task": b"clean_up", b"fact": b"post"}),
    ]


async def test_unreadable_and_failing_jobs_become_dead_letters_and_the_others_are_done(
    world: World, rng: Random, full_size: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    story = await Story.create(world, rng, 1_000 if full_size else 100)
    broken = Broken(next(action.post_id for action in story.actions if isinstance(action, Like)))
    nonsense = malformed(broken.job.key)
    messages = [*story.messages, *nonsense]
    rng.shuffle(messages)
    expected = await expected_outcomes(world, story.actions, story.posts)
    async with running_workers(world, broken.handlers):
        await deliver(world, messages)
        for attempt in range(1, ATTEMPTS):
            assert await failures(world) == [(attempt, False)]
            await relay_due(world.sources, now() + LATER * attempt)
            await eventually(lambda: are_queues_empty(world), seconds=PATIENCE)
        await assert_dead_letters(world, broken, nonsense)
        without = replace(expected, like_counts=expected.like_counts.copy())
        del without.like_counts[ObjectId(broken.job.key)]
        assert await stored_outcomes(world) == without

        broken.is_repaired = True
        assert await run_redrive(world.sources.settings, None) == 0
        assert capsys.readouterr().out.strip().endswith(f"redriven: {1 + len(nonsense)}")
        await audit(world, seconds=PATIENCE, has_files=False)
        await eventually(lambda: are_queues_empty(world), seconds=PATIENCE)
    assert await stored_outcomes(world) == expected
    assert await failures(world) == []
    assert len([letter async for letter in world.sources.dead_letters.all_malformed()]) == len(nonsense)


async def failures(world: World) -> list[tuple[int, bool]]:
    """The attempts of each failed job, and whether it is dead."""
    return [(row["attempts"], row["dead"]) async for row in world.sources.database["failures"].find()]


async def assert_dead_letters(world: World, broken: Broken, nonsense: Sequence[Message]) -> None:
    """There is one dead letter beside the malformed ones, each with what an operator needs; `verify` names them."""
    (letter,) = [letter async for letter in world.sources.dead_letters.all_dead()]
    assert (letter.job, letter.attempts) == (broken.job, ATTEMPTS)
    assert letter.reason == "LookupError: the counter has no bottom"
    letters = [letter async for letter in world.sources.dead_letters.all_malformed()]
    assert sorted(letter.worker for letter in letters) == sorted(worker for worker, _ in nonsense)
    assert {letter.times for letter in letters} == {1}
    report = await verify(Walk(sources=world.sources))
    assert {finding.kind for finding in report.findings} - {MISSING_FILES} == {"post_like.dead_lettered", "dead_letter"}
    dead = await likes_of(world, broken)
    await relay_due(world.sources, now() + LATER * 10)  # what was postponed on a busy machine has its turn
    assert await likes_of(world, broken) == dead, "the outbox relay leaves dead-lettered facts alone"
    await eventually(lambda: are_queues_empty(world), seconds=PATIENCE)


async def likes_of(world: World, broken: Broken) -> list[dict[str, Any]]:
    """The likes that are not counted, with all their fields."""
    uncounted = {"target_id": ObjectId(broken.job.key), "outbox": Task.COUNT.value}
    likes = await world.sources.database["post_likes"].find(uncounted, sort=[("_id", 1)]).to_list()
    assert likes
    return likes
