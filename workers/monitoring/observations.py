"""What MongoDB and Redis say about the work that waits, as Prometheus reads it: bounded reads by indexes."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from bson import ObjectId
from prometheus_client.core import Metric

from datasources.events.webhook_endpoints import BY_OPERATOR, MAX_ENDPOINTS
from datasources.events.webhook_messages import MessageState
from datasources.mongo.client import Database, Document
from datasources.sources import Sources
from datasources.telemetry.metrics import gauges, one_label
from domain.jobs import Fact, Task
from domain.records.moderation import CaseStatus
from workers.maintenance.pending import queue_depths

LOOKED_AT = 10_000  # facts of a kind and dead letters, those that are due longest; more of them say no more

_DUE: list[Document] = [
    {"$match": {"due_at": {"$exists": True}}},
    {"$sort": {"due_at": 1}},
    {"$limit": LOOKED_AT},
]
_SPLIT = {"outbox": Task.FAN_OUT.value, "$expr": {"$eq": ["$split", "$version"]}}
_TASKS: list[Document] = [{"$unwind": "$outbox"}, {"$match": {"$nor": [_SPLIT]}}]
_KIND = ("task", "fact")
_ENDPOINT = ("endpoint",)


async def observe_outbox(sources: Sources, now: datetime) -> list[Metric]:
    """How many tasks are pending of each kind, and since when the oldest; without dead-lettered facts.

    A fan-out that is split is told by its chunks.
    """
    pending: list[tuple[tuple[str, str], float]] = []
    oldest: list[tuple[tuple[str, str], float]] = []
    group = {"$group": {"_id": "$outbox", "facts": {"$sum": 1}, "since": {"$min": "$pending_since"}}}
    for fact in Fact:
        rows = await sources.lagging_database[fact.collection].aggregate([*_DUE, *_TASKS, group])
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


async def observe_webhooks(sources: Sources, now: datetime) -> list[Metric]:
    """What waits for each endpoint of webhooks, since when, and what it never took; whether it is disabled.

    There are `MAX_ENDPOINTS`. Nothing is told of one that an operator has disabled.
    """
    database = sources.lagging_database
    messages: list[tuple[tuple[str, str], float]] = []
    oldest: dict[str, float] = {}
    disabled: dict[str, float] = {}
    rows = database["webhook_endpoints"].find({}, {"disabled_at": 1, "disabled_because": 1}, limit=MAX_ENDPOINTS * 2)
    for endpoint in await rows.to_list():
        if endpoint.get("disabled_because") == BY_OPERATOR:
            continue
        name = str(endpoint["_id"])
        disabled[name] = float(endpoint.get("disabled_at") is not None)
        oldest[name] = 0.0
        for state in MessageState:
            number, since = await _count_messages(database, endpoint["_id"], state)
            messages.append(((name, state.lower()), number))
            if state is MessageState.WAITING and since is not None:
                oldest[name] = max(0.0, (now - since).total_seconds())
    about = "Webhooks that wait for an endpoint or are dead, up to 10,000 of each."
    return [
        gauges("photogram_webhook_messages", about, ("endpoint", "state"), messages),
        gauges("photogram_webhook_oldest_seconds", "Age of the oldest event that waits.", _ENDPOINT, one_label(oldest)),
        gauges("photogram_webhook_disabled", "Whether it was disabled as it failed.", _ENDPOINT, one_label(disabled)),
    ]


async def _count_messages(
    database: Database, endpoint_id: ObjectId, state: MessageState
) -> tuple[int, datetime | None]:
    """How many messages of an endpoint are in a state, and the time of the earliest event among them."""
    stages: list[Document] = [
        {"$match": {"endpoint_id": endpoint_id, "state": state.value}},
        {"$limit": LOOKED_AT},
        {"$group": {"_id": None, "messages": {"$sum": 1}, "since": {"$min": "$time"}}},
    ]
    rows = await (await database["webhook_messages"].aggregate(stages)).to_list()
    return (rows[0]["messages"], rows[0]["since"]) if rows else (0, None)


async def observe_moderation(sources: Sources, now: datetime) -> list[Metric]:
    """How many cases wait for moderators, and since when the oldest."""
    database, query = sources.lagging_database, {"status": CaseStatus.OPEN.value}
    number = await database["cases"].count_documents(query, limit=LOOKED_AT)
    oldest = await database["cases"].find_one(query, {"created_at": 1}, sort=[("_id", 1)])
    age = 0.0 if oldest is None else max(0.0, (now - oldest["created_at"]).total_seconds())
    return [
        gauges("photogram_moderation_cases", "Cases that wait for moderators, up to 10,000.", (), [((), number)]),
        gauges("photogram_moderation_oldest_seconds", "For how long the oldest has waited.", (), [((), age)]),
    ]


async def observe_explore(sources: Sources, now: datetime) -> list[Metric]:
    """How old the latest snapshot of explore is; nothing before the first."""
    made_at = await sources.discovery.snapshots.latest_made_at()
    age = [] if made_at is None else [((), max(0.0, (now - made_at).total_seconds()))]
    return [gauges("photogram_explore_age_seconds", "Age of the latest snapshot of explore.", (), age)]


OBSERVATIONS: dict[str, Callable[[Sources, datetime], Awaitable[list[Metric]]]] = {
    "outbox": observe_outbox,
    "queues": observe_queues,
    "dead_letters": observe_dead_letters,
    "uploads": observe_uploads,
    "webhooks": observe_webhooks,
    "moderation": observe_moderation,
    "explore": observe_explore,
}
