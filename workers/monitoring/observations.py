"""What MongoDB and Redis say about the work that waits, as Prometheus reads it: bounded reads by indexes."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from prometheus_client.core import Metric

from datasources.mongo.client import Document
from datasources.sources import Sources
from datasources.telemetry.metrics import gauges, one_label
from domain.jobs import Fact
from workers.maintenance.pending import queue_depths

LOOKED_AT = 10_000  # facts of a kind and dead letters, those that are due longest; more of them say no more

_DUE: list[Document] = [
    {"$match": {"due_at": {"$exists": True}}},
    {"$sort": {"due_at": 1}},
    {"$limit": LOOKED_AT},
]
_KIND = ("task", "fact")


async def observe_outbox(sources: Sources, now: datetime) -> list[Metric]:
    """How many tasks are pending of each kind, and since when the oldest; without dead-lettered facts."""
    pending: list[tuple[tuple[str, str], float]] = []
    oldest: list[tuple[tuple[str, str], float]] = []
    group = {"$group": {"_id": "$outbox", "facts": {"$sum": 1}, "since": {"$min": "$pending_since"}}}
    for fact in Fact:
        rows = await sources.lagging_database[fact.collection].aggregate([*_DUE, {"$unwind": "$outbox"}, group])
        async for row in rows:
            kind = row["_id"], fact.value
            pending.append((kind, row["facts"]))
            oldest.append((kind, max(0.0, (now - row["since"]).total_seconds()) if row["since"] else 0.0))
    return [
        gauges("photogram_outbox_pending", "Facts for which a task is pending, up to 10,000.", _KIND, pending),
        gauges("photogram_outbox_oldest_seconds", "For how long the oldest of them has been pending.", _KIND, oldest),
    ]


async def observe_queues(sources: Sources, _now: datetime) -> list[Metric]:
    """How many messages wait or are in flight for each worker."""
    depths, faults = await queue_depths(sources)
    if not depths and faults:
        raise ConnectionError(faults[0].why)
    return [gauges("photogram_queue_jobs", "Messages that wait or are in flight.", ("worker",), one_label(depths))]


async def observe_dead_letters(sources: Sources, _now: datetime) -> list[Metric]:
    """How many jobs nothing tries any more, and how many messages made no sense."""
    stages: list[Document] = [
        {"$match": {"dead": True}},
        {"$limit": LOOKED_AT},
        {"$group": {"_id": {"task": "$_id.task", "fact": "$_id.fact"}, "letters": {"$sum": 1}}},
    ]
    rows = await (await sources.lagging_database["failures"].aggregate(stages)).to_list()
    letters = [((str(row["_id"]["task"]), str(row["_id"]["fact"])), row["letters"]) for row in rows]
    malformed = await sources.lagging_database["malformed"].estimated_document_count()
    return [
        gauges("photogram_dead_letters", "Jobs that nothing tries any more, up to 10,000.", _KIND, letters),
        gauges("photogram_malformed_messages", "Messages that made no sense.", (), [((), malformed)]),
    ]


async def observe_uploads(sources: Sources, _now: datetime) -> list[Metric]:
    """How many uploads are in each state, of those with something pending."""
    group: Document = {"$group": {"_id": "$status", "uploads": {"$sum": 1}}}
    rows = await (await sources.lagging_database["uploads"].aggregate([*_DUE, group])).to_list()
    states = {str(row["_id"]): row["uploads"] for row in rows}
    return [gauges("photogram_uploads_pending", "Uploads in hand, by state.", ("status",), one_label(states))]


OBSERVATIONS: dict[str, Callable[[Sources, datetime], Awaitable[list[Metric]]]] = {
    "outbox": observe_outbox,
    "queues": observe_queues,
    "dead_letters": observe_dead_letters,
    "uploads": observe_uploads,
}
