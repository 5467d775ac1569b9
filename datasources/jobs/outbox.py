"""What a fact owes, kept inside it: fields `outbox`, `owed_at`, `ring_at`, `rings` and `parked` (docs/adr/0002).

`outbox` holds the names of the effects owed and is absent when none are; `owed_at` is when the fact began to owe.
`parked` names those among the dead letters: nobody rings for them until they are redriven or the fact changes.
`ring_at` is when the sweeper rings for the others next; it is absent when there are none. `rings` counts the sweeper's
rings, for its back-off.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo.client import Document, Readable, Session
from domain.jobs import Task

Stage = dict[str, Any]

FIRST_PAUSE = timedelta(seconds=3)  # how long the doorbell's own worker has before the sweeper rings again
MAX_PAUSE = timedelta(seconds=60)
NOTHING_PENDING: Stage = {"$unset": ["outbox", "pending_since", "due_at", "enqueues", "dead_lettered"]}
_UNSET_DUE_AT: Stage = {
    "$set": {
        "due_at": {
            "$cond": [{"$setIsSubset": ["$outbox", {"$ifNull": ["$dead_lettered", []]}]}, "$$REMOVE", "$due_at"],
        }
    }
}


def pending_fields(tasks: Iterable[Task], now: datetime) -> dict[str, Any]:
    """The fields of a new fact that owes these effects."""
    return {"outbox": [task.value for task in tasks], "pending_since": now, "due_at": now + FIRST_PAUSE, "enqueues": 0}


def add_pending(tasks: Iterable[Task], now: datetime) -> Stage:
    """A stage of an update pipeline: the fact owes these effects too, and is rung for at once."""
    pending = {"$setUnion": [{"$ifNull": ["$outbox", []]}, [task.value for task in tasks]]}
    since = {"$ifNull": ["$pending_since", now]}
    return {
        "$set": {"outbox": pending, "pending_since": since, "due_at": now, "enqueues": 0, "dead_lettered": "$$REMOVE"}
    }


def change(
    values: Mapping[str, Any], tasks: Iterable[Task], now: datetime, *, watched: str | Sequence[str]
) -> list[Stage]:
    """An update pipeline: sets `values` (literals or expressions) and, if a field of `watched` changes by it, owes.

    Setting what is already so owes nothing and leaves `version` alone, so that saying a thing twice changes nothing.
    """
    names = [task.value for task in tasks]
    fields = [watched] if isinstance(watched, str) else watched
    changed = {"$or": [{"$ne": [{"$ifNull": [f"${field}", None]}, values[field]]} for field in fields]}
    return [
        {"$set": {"changed": changed}},
        {
            "$set": {
                **values,
                "version": {"$add": [{"$ifNull": ["$version", 0]}, {"$cond": ["$changed", 1, 0]}]},
                "outbox": {
                    "$cond": ["$changed", {"$setUnion": [{"$ifNull": ["$outbox", []]}, names]}, "$outbox"],
                },
                "pending_since": {"$cond": ["$changed", {"$ifNull": ["$pending_since", now]}, "$pending_since"]},
                "due_at": {"$cond": ["$changed", now + FIRST_PAUSE, "$due_at"]},
                "enqueues": {"$cond": ["$changed", 0, "$enqueues"]},
                "dead_lettered": {"$cond": ["$changed", "$$REMOVE", "$dead_lettered"]},
            }
        },
        {"$unset": "changed"},
    ]


def mark_done(task: Task) -> list[Stage]:
    """The end of an update pipeline that takes one effect out of the outbox, and the outbox away when it is empty.

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
    """An update pipeline: nobody rings for this effect any more, but still for the others that are owed."""
    return [
        {"$set": {"dead_lettered": {"$setUnion": [{"$ifNull": ["$dead_lettered", []]}, [task.value]]}}},
        _UNSET_DUE_AT,
    ]


def mark_redriven(task: Task, now: datetime) -> list[Stage]:
    """An update pipeline: the sweeper rings for this effect again, at once."""
    left = {"$setDifference": [{"$ifNull": ["$dead_lettered", []]}, [task.value]]}
    still = {"$cond": [{"$eq": [left, []]}, "$$REMOVE", left]}
    return [{"$set": {"dead_lettered": still, "due_at": now, "enqueues": 0}}]


def mark_enqueued(now: datetime, longest: timedelta) -> list[Stage]:
    """An update pipeline for a fact just rung for: the next ring comes after twice the pause, up to a limit."""
    pause = {
        "$min": [
            longest.total_seconds() * 1000,
            {"$multiply": [FIRST_PAUSE.total_seconds() * 1000, {"$pow": [2, "$enqueues"]}]},
        ]
    }
    return [{"$set": {"due_at": {"$add": [now, pause]}, "enqueues": {"$min": [20, {"$add": ["$enqueues", 1]}]}}}]


async def find_pending(
    facts: Readable,
    field: str,
    keys: Sequence[ObjectId],
    task: Task,
    fields: Mapping[str, int],
    session: Session,
    most: int,
) -> list[Document]:
    """Up to `most` facts that owe an effect and are settled by these keys, in the order of their `field`.

    So if there are `most`, all that is owed under the keys before the last one's is among them.
    """
    query = {field: {"$in": list(keys)}, "outbox": task.value}
    # Left to choose, the planner may walk all likes of a post for the few that owe.
    index = [(field, 1), ("outbox", 1)]
    found = facts.find(query, fields, sort=[(field, 1)], limit=most, batch_size=most, session=session, hint=index)
    return await found.to_list()
