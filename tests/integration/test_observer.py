"""The observer: what it reads, and that one process at a time does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta

import pytest
from bson import ObjectId
from prometheus_client.core import Metric

from datasources.events.webhook_endpoints import BY_OPERATOR
from datasources.mongo.leases import Lease
from domain.events import deletion_event
from domain.jobs import Fact, Job, Task
from tests.support.emptying import wipe_redis
from tests.support.factories import World, changed_sources, now
from tests.support.fan_outs import begin_fan_out, create_followed_author
from tests.support.maintenance import Scene
from tests.support.waiting import eventually
from workers.handlers import fan_out
from workers.monitoring.observations import (
    observe_dead_letters,
    observe_outbox,
    observe_queues,
    observe_uploads,
    observe_webhooks,
)
from workers.monitoring.observer import Observer


def values(metrics: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """The samples: the name and the values of the labels."""
    return {(each.name, *each.labels.values()): each.value for metric in metrics for each in metric.samples}


@contextlib.asynccontextmanager
async def observing(world: World, *, interval: float = 0.05, drift: float = 0.0) -> AsyncIterator[Observer]:
    observer, stopping = Observer(world.sources, interval=interval, drift_interval=drift), asyncio.Event()
    running = asyncio.create_task(observer.run(stopping))
    try:
        yield observer
    finally:
        stopping.set()
        await running


async def test_it_tells_what_is_pending_of_each_kind_and_since_when(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await own.sources.post_likes.like(post.id, bob.id, now() - timedelta(minutes=5))
    observed = values(await observe_outbox(own.sources, now()))
    assert observed["photogram_outbox_pending", "count", "post_like"] == 1
    assert 300 <= observed["photogram_outbox_oldest_seconds", "count", "post_like"] < 360
    await own.drain()
    assert values(await observe_outbox(own.sources, now())) == {}


async def test_a_long_fan_out_waits_as_its_chunks_and_a_changed_post_as_itself(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "CHUNK", 1)
    author, _ = await create_followed_author(own, 2)
    post = await own.post(author)
    await own.sources.database["posts"].update_one({"_id": post.id}, {"$set": {"outbox": [Task.FAN_OUT.value]}})
    waiting = {("photogram_outbox_pending", "fan_out", "post"): 1}
    assert waiting.items() <= values(await observe_outbox(own.sources, now())).items()
    await begin_fan_out(own, post.id)
    (chunks,) = {kind for kind in values(await observe_outbox(own.sources, now())) if kind[0].endswith("pending")}
    assert chunks == ("photogram_outbox_pending", "fan_out_chunk", "fan_out")
    await own.sources.database["posts"].update_one({"_id": post.id}, {"$inc": {"version": 1}})
    assert waiting.items() <= values(await observe_outbox(own.sources, now())).items()


async def test_it_tells_dead_letters_and_not_that_their_facts_wait(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await own.sources.post_likes.like(post.id, bob.id, now())
    for task in (Task.COUNT, Task.NOTIFY):
        for _ in range(5):
            await own.sources.dead_letters.count_failure(Job(task, Fact.POST_LIKE, str(post.id)), "tested", now())
    await own.sources.dead_letters.add_malformed("feed", {b"a": b"b"}, now())
    assert values(await observe_dead_letters(own.sources, now())) == {
        ("photogram_dead_letters", "count", "post_like"): 1,
        ("photogram_dead_letters", "notify", "post_like"): 1,
        ("photogram_malformed_messages",): 1,
    }
    assert values(await observe_outbox(own.sources, now())) == {}


async def test_it_tells_queues_and_uploads(own: World) -> None:
    await wipe_redis(own)
    await own.sources.job_queue.enqueue([Job(Task.FAN_OUT, Fact.POST, str(ObjectId())) for _ in range(3)])
    assert values(await observe_queues(own.sources, now()))["photogram_queue_jobs", "feed"] == 3
    due = {"due_at": now(), "pending_since": now(), "outbox": ["ingest"]}
    await own.sources.database["uploads"].insert_many(
        [{"status": "PROCESSING", "owner_id": ObjectId(), **due}, {"status": "READY", "owner_id": ObjectId()}]
    )
    assert values(await observe_uploads(own.sources, now())) == {("photogram_uploads_pending", "PROCESSING"): 1}


async def test_it_tells_of_webhooks_by_endpoint_and_nothing_of_what_an_operator_has_disabled(own: World) -> None:
    sources, endpoints = own.sources, own.sources.webhook_endpoints
    works, failed, silenced = [await endpoints.add(f"https://example.com/{number}", []) for number in range(3)]
    events = [deletion_event(ObjectId(), now() - timedelta(hours=hours)) for hours in (2, 1)]
    await sources.webhook_messages.send(events)
    for endpoint, because in ((failed, "failing"), (silenced, BY_OPERATOR)):
        await endpoints.disable(endpoint.id, because)
        await sources.webhook_messages.give_up(endpoint.id)
    observed = values(await observe_webhooks(sources, now()))
    assert 7200 <= observed.pop(("photogram_webhook_oldest_seconds", str(works.id))) < 7260
    assert observed == {
        ("photogram_webhook_oldest_seconds", str(failed.id)): 0,
        ("photogram_webhook_messages", str(works.id), "waiting"): 2,
        ("photogram_webhook_messages", str(works.id), "dead"): 0,
        ("photogram_webhook_messages", str(failed.id), "waiting"): 0,
        ("photogram_webhook_messages", str(failed.id), "dead"): 2,
        ("photogram_webhook_disabled", str(works.id)): 0,
        ("photogram_webhook_disabled", str(failed.id)): 1,
    }


async def test_without_the_queues_server_the_rest_is_observed(own: World) -> None:
    class Away:
        async def depth(self, _worker: str) -> int:
            raise ConnectionError

    without_queues = World(changed_sources(own.sources, job_queue=Away()))
    async with observing(without_queues) as observer:

        async def seen() -> dict[tuple[str, ...], float]:
            return values(observer._read())

        await eventually(seen)
        observed = await seen()
    assert {key[1]: value for key, value in observed.items() if key[0] == "photogram_observed"} == {
        "outbox": 1, "queues": 0, "dead_letters": 1, "uploads": 1, "webhooks": 1, "moderation": 1, "explore": 1,
    }  # fmt: skip


async def test_one_of_two_observes_and_the_other_follows(own: World, other: World) -> None:
    def observes(observer: Observer) -> Callable[[], Awaitable[bool]]:
        async def does() -> bool:
            return bool(values(observer._read()))

        return does

    async with contextlib.AsyncExitStack() as stack:
        async with observing(own) as first:
            await eventually(observes(first))
            second = await stack.enter_async_context(observing(other))
            for _ in range(20):
                assert await observes(first)()
                assert not await observes(second)()
                await asyncio.sleep(0.05)
        await eventually(observes(second))


async def test_a_lease_ends_by_itself(own: World) -> None:
    short, long = (Lease(own.sources.database, "tested", name, timedelta(seconds=1)) for name in ("dead", "next"))
    assert await short.take()
    assert await short.take()
    assert not await long.take()
    await eventually(long.take)
    await short.release()  # what it does not hold
    assert not await short.take()


async def test_a_difference_between_records_is_found_and_gone_after_its_repair(own: World) -> None:
    scene = await Scene.applied(own)
    async with observing(own, drift=0.1) as observer:

        async def drift(expected: float | None) -> bool:
            return values(observer._read()).get(("photogram_drift", "post.like_count")) == expected

        posts = own.sources.database["posts"]
        await posts.update_one({"_id": scene.post.id}, {"$inc": {"like_count": 7}})
        await eventually(lambda: drift(1), seconds=30)
        await posts.update_one({"_id": scene.post.id}, {"$inc": {"like_count": -7}})
        await eventually(lambda: drift(0), seconds=30)
