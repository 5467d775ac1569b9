"""How many facts a second one worker counts from its queue: `python -m benchmarks.worker`."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from bson import ObjectId

from benchmarks.lib.documents import insert, posts, users
from benchmarks.lib.loads import Load, Stopwatch, costs_of, load_row
from benchmarks.lib.report import Table, rounds, show
from benchmarks.lib.servers import finish, servers, stores
from benchmarks.lib.unit_costs import Save, save_unit_costs
from config import Settings
from datasources.jobs.opening import open_consumer
from datasources.jobs.outbox import pending_fields
from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import Fact, Task
from tests.support.waiting import eventually
from workers.runtime.handler import Tools
from workers.runtime.worker import Worker

PEOPLE = 500
BARE = "a transaction each, bare"
NOTIFIED = "notify likes of a post each"
CALLERS = 16
CASES = (  # name, kind of fact, facts, posts
    ("likes of one post", Fact.POST_LIKE, 5_000, 1),
    ("likes of a post each", Fact.POST_LIKE, 1_000, 1_000),
    ("comments on one post", Fact.COMMENT, 2_000, 1),
    ("comments on a post each", Fact.COMMENT, 1_000, 1_000),
)
PATIENCE = 60.0
BUDGET = 60.0  # seconds of rounds
LONGEST = 300.0  # seconds for everything, on however busy a machine


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all cases in turn.")] = 3,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Lets a worker count likes and comments, beside a bare transaction for each."""
    with servers() as settings:
        loads = finish(_measure(settings, repeat), LONGEST)
    show([_table(loads)], ["pymongo", "redis"], markdown=markdown)
    if save:
        counted = {f"count {name}": costs_of(loads[name]) for name, *_ in CASES}
        save_unit_costs(counted | {NOTIFIED: costs_of(loads[NOTIFIED])})


async def _measure(settings: Settings, repeat: int) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in (BARE, *(case[0] for case in CASES), NOTIFIED)}
    async with stores(settings) as sources:
        people = await users(sources, PEOPLE)
        for _ in rounds(repeat, BUDGET):
            loads[BARE].append(await _bare(sources, people))
            for name, fact, facts, targets in CASES:
                loads[name].append(await _count(sources, people, fact, facts, targets))
            loads[NOTIFIED].append(await _notify(sources, people))
    return loads


def _table(loads: dict[str, list[Load]]) -> Table:
    columns = [
        "facts/s",
        "CPU ms, ours",
        "CPU ms, MongoDB's",
        "rate against bare",
        "CPU against bare",
    ]
    table = Table("Counting and notifying, one worker process", ["what is done", *columns])
    table.rows += [load_row(name, of, loads[BARE]) for name, of in loads.items()]
    return table


async def _bare(sources: Sources, people: Sequence[ObjectId]) -> Load:
    """A transaction for each like, many at once: it marks the like and raises its post's count."""
    post_ids = await posts(sources, list(people))
    likes, stored = sources.database["bare_likes"], sources.database["posts"]
    await insert(sources, "bare_likes", [{"_id": post_id, "counted": False} for post_id in post_ids])
    left = iter(post_ids)

    async def caller() -> None:
        for post_id in left:

            async def apply(session: Session, post_id: ObjectId = post_id) -> None:
                await likes.update_one({"_id": post_id}, {"$set": {"counted": True}}, session=session)
                await stored.update_one({"_id": post_id}, {"$inc": {"like_count": 1}}, session=session)

            await in_transaction(sources.client, apply)

    watch = Stopwatch()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return watch.load(len(post_ids))


async def _count(sources: Sources, people: Sequence[ObjectId], fact: Fact, facts: int, targets: int) -> Load:
    """What it takes a worker to count facts whose jobs wait in its queue. Raises RuntimeError for a wrong count."""
    post_ids = await posts(sources, list(itertools.islice(itertools.cycle(people), targets)))
    rows = [_fact(fact, post_id, ObjectId()) for post_id in itertools.islice(itertools.cycle(post_ids), facts)]
    await insert(sources, fact.collection, rows)
    load = await _work(sources, "counters", fact, Task.COUNT, rows)
    field = "like_count" if fact is Fact.POST_LIKE else "comment_count"
    if sum(getattr(post, field) for post in await sources.posts.by_ids(post_ids)) != facts:
        raise RuntimeError(f"{fact.value}s were not counted right")
    return load


async def _notify(sources: Sources, people: Sequence[ObjectId]) -> Load:
    """The same for notifying authors of a like each. Raises RuntimeError for a wrong number of notifications."""
    notifications = sources.database["notifications"]
    before = await notifications.count_documents({})
    post_ids, likers = await posts(sources, list(people)), [*people[1:], people[0]]
    pairs = zip(post_ids, likers, strict=True)
    rows = [_fact(Fact.POST_LIKE, post_id, liker, Task.NOTIFY) for post_id, liker in pairs]
    await insert(sources, Fact.POST_LIKE.collection, rows)
    load = await _work(sources, "notifications", Fact.POST_LIKE, Task.NOTIFY, rows)
    if await notifications.count_documents({}) - before != len(rows):
        raise RuntimeError("likes were not notified right")
    return load


async def _work(sources: Sources, worker: str, fact: Fact, task: Task, rows: Sequence[dict[str, Any]]) -> Load:
    """What one worker takes for a task of facts that are stored, from the first job in its queue to the last fact."""
    for row in rows:
        await sources.job_queue.enqueue_pending(fact, [row])
    collection = sources.database[fact.collection]

    async def are_done() -> bool:
        return not await collection.count_documents({"outbox": task.value}, limit=1)

    stopping = asyncio.Event()
    async with open_consumer(sources.settings, worker, "benchmark") as queue:
        watch = Stopwatch()
        working = asyncio.create_task(Worker(Tools(sources=sources), queue).run(stopping))
        await eventually(are_done, seconds=PATIENCE, every=0.02)
        load = watch.load(len(rows))
        stopping.set()
        await working
    return load


def _fact(fact: Fact, post_id: ObjectId, user_id: ObjectId, task: Task = Task.COUNT) -> dict[str, Any]:
    now = clock.now()
    pending = {"version": 1, **pending_fields([task], now)}
    if fact is Fact.POST_LIKE:
        return {"target_id": post_id, "user_id": user_id, "liked": True, **pending}
    row: dict[str, Any] = {"post_id": post_id, "author_id": user_id, "parent_id": None, "text": "nice"}
    return {**row, "created_at": now, "deleted": False, "counted": False, **pending}


if __name__ == "__main__":
    typer.run(main)
