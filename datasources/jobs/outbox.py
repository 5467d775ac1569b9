"""The outbox of a fact: fields of its document that say which tasks are pending for it (docs/adr/0002).

- `outbox`: the names of the pending tasks; absent when none is.
- `pending_since`: when the first of them became pending.
- `due_at`: when the outbox relay enqueues their jobs next; absent when all of them are dead-lettered.
- `enqueues`: how often the relay has enqueued them, for its back-off.
- `changed_at`: when the fact last changed; only with tasks of `PUBLISHING`, whose events tell it.
- `traceparent`: the place in the trace of the request that made them pending; absent unless it is traced.
- `dead_lettered`: those of the tasks that the relay skips until they are redriven or the fact changes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo.client import Document, Readable, Session
from datasources.mongo.queries import Where, nowhere
from datasources.telemetry.tracing import TRACEPARENT, current_traceparent
from domain.jobs import PUBLISHING, Task

Stage = dict[str, Any]

FIRST_PAUSE = timedelta(seconds=3)  # from the first job of a pending task to the relay's
MAX_PAUSE = timedelta(seconds=60)  # between two of the relay's
_PUBLISHING = frozenset(PUBLISHING.values())
# A condition for something deleted of which only others have yet to be told: it needs its ids alone.
ONLY_TELLING: Stage = {
    "outbox": {"$exists": True, "$not": {"$elemMatch": {"$nin": [Task.CLEAN_UP.value, *sorted(_PUBLISHING)]}}}
}
_MAX_ENQUEUES = 20  # counted; the pause reaches its maximum long before
NOTHING_PENDING: Stage = {
    "$unset": ["outbox", "pending_since", "due_at", "enqueues", "dead_lettered", "changed_at", TRACEPARENT]
}
_UNSET_DUE_AT: Stage = {
    "$set": {
        "due_at": {"$cond": [{"$setIsSubset": ["$outbox", {"$ifNull": ["$dead_lettered", []]}]}, "$$REMOVE", "$due_at"]}
    }
}


def pending_fields(tasks: Iterable[Task], now: datetime) -> dict[str, Any]:
    """The fields of a new fact for which these tasks are pending."""
    tasks = list(tasks)
    fields = {
        "outbox": [task.value for task in tasks],
        "pending_since": now,
        "due_at": now + FIRST_PAUSE,
        "enqueues": 0,
    }
    return fields | _time_of_change(tasks, now) | _trace()


def add_pending(tasks: Iterable[Task], now: datetime) -> Stage:
    """A stage of an update pipeline: these tasks are pending too, and the relay enqueues them at once."""
    tasks = list(tasks)
    pending = {"$setUnion": [{"$ifNull": ["$outbox", []]}, [task.value for task in tasks]]}
    since = {"$ifNull": ["$pending_since", now]}
    fields = {"outbox": pending, "pending_since": since, "due_at": now, "enqueues": 0, "dead_lettered": "$$REMOVE"}
    return {"$set": fields | _time_of_change(tasks, now) | _trace()}


def change(
    values: Mapping[str, Any], tasks: Iterable[Task], now: datetime, *, watched: str | Sequence[str]
) -> list[Stage]:
    """An update pipeline: sets `values` (literals or expressions) and, if a field of `watched` changes, adds `tasks`.

    `version` grows then too. Setting the values that a fact already has changes nothing, so it is safe to repeat.
    """
    fields = [watched] if isinstance(watched, str) else watched
    changed = {"$or": [{"$ne": [{"$ifNull": [f"${field}", None]}, values[field]]} for field in fields]}
    version = {"$add": [{"$ifNull": ["$version", 0]}, {"$cond": ["$changed", 1, 0]}]}
    pending = {**add_pending(tasks, now)["$set"], "due_at": now + FIRST_PAUSE}
    pending_if_changed = {field: {"$cond": ["$changed", value, f"${field}"]} for field, value in pending.items()}
    return [
        {"$set": {"changed": changed}},
        {"$set": {**values, "version": version, **pending_if_changed}},
        {"$unset": "changed"},
    ]


def mark_done(task: Task) -> list[Stage]:
    """The end of an update pipeline that removes a task from the outbox, and the outbox fields with the last task.

    An empty array would stay in the sparse index for ever.
    """
    left = {"$setDifference": [{"$ifNull": ["$outbox", []]}, [task.value]]}
    nothing_left = {"$eq": ["$outbox", []]}
    return [
        {"$set": {"outbox": left}},
        _UNSET_DUE_AT,
        {"$set": {field: {"$cond": [nothing_left, "$$REMOVE", f"${field}"]} for field in NOTHING_PENDING["$unset"]}},
    ]


def mark_dead_lettered(task: Task) -> list[Stage]:
    """An update pipeline: the relay skips this task from now on, but not the others."""
    return [
        {"$set": {"dead_lettered": {"$setUnion": [{"$ifNull": ["$dead_lettered", []]}, [task.value]]}}},
        _UNSET_DUE_AT,
    ]


def mark_redriven(task: Task, now: datetime) -> list[Stage]:
    """An update pipeline: the relay enqueues this task again, at once."""
    left = {"$setDifference": [{"$ifNull": ["$dead_lettered", []]}, [task.value]]}
    still = {"$cond": [{"$eq": [left, []]}, "$$REMOVE", left]}
    return [{"$set": {"dead_lettered": still, "due_at": now, "enqueues": 0}}]


def mark_enqueued(now: datetime, max_pause: timedelta) -> list[Stage]:
    """An update pipeline for a fact whose jobs the relay has enqueued: the pause doubles, up to a maximum."""
    doubled = {"$multiply": [FIRST_PAUSE.total_seconds() * 1000, {"$pow": [2, "$enqueues"]}]}
    due_at = {"$add": [now, {"$min": [max_pause.total_seconds() * 1000, doubled]}]}
    return [{"$set": {"due_at": due_at, "enqueues": {"$min": [_MAX_ENQUEUES, {"$add": ["$enqueues", 1]}]}}}]


def _time_of_change(tasks: Collection[Task], now: datetime) -> dict[str, datetime]:
    return {"changed_at": now} if _PUBLISHING.intersection(tasks) else {}


def _trace() -> dict[str, str]:
    traceparent = current_traceparent()
    return {} if traceparent is None else {TRACEPARENT: traceparent}


async def find_pending(
    facts: Readable,
    field: str,
    keys: Sequence[ObjectId],
    task: Task,
    fields: Mapping[str, int],
    session: Session | None,
    limit: int,
    where: Where = nowhere,
) -> list[Document]:
    """Up to `limit` facts with these keys in `field` for which a task is pending, in the order of the keys.

    So if there are `limit`, they include all facts of every key before the last one's.
    """
    query = {field: {"$in": list(keys)}, **where(keys), "outbox": task.value}
    # Without the hint, the planner may walk all likes of a post to find the few pending ones.
    index = [(field, 1), ("outbox", 1)]
    rows = facts.find(query, fields, sort=[(field, 1)], limit=limit, batch_size=limit, session=session, hint=index)
    return await rows.to_list()
