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
from domain.jobs import Effect

Stage = dict[str, Any]

GRACE = timedelta(seconds=3)  # how long the doorbell's own worker has before the sweeper rings again
LONGEST_PAUSE = timedelta(seconds=60)
NOTHING_OWED: Stage = {"$unset": ["outbox", "owed_at", "ring_at", "rings", "parked"]}
_NOBODY_RINGS: Stage = {
    "$set": {
        "ring_at": {
            "$cond": [{"$setIsSubset": ["$outbox", {"$ifNull": ["$parked", []]}]}, "$$REMOVE", "$ring_at"],
        }
    }
}


def owing(effects: Iterable[Effect], now: datetime) -> dict[str, Any]:
    """The fields of a new fact that owes these effects."""
    return {"outbox": [effect.value for effect in effects], "owed_at": now, "ring_at": now + GRACE, "rings": 0}


def owing_again(effects: Iterable[Effect], now: datetime) -> Stage:
    """A stage of an update pipeline: the fact owes these effects too, and is rung for at once."""
    owed = {"$setUnion": [{"$ifNull": ["$outbox", []]}, [effect.value for effect in effects]]}
    since = {"$ifNull": ["$owed_at", now]}
    return {"$set": {"outbox": owed, "owed_at": since, "ring_at": now, "rings": 0, "parked": "$$REMOVE"}}


def change(
    values: Mapping[str, Any], effects: Iterable[Effect], now: datetime, *, watched: str | Sequence[str]
) -> list[Stage]:
    """An update pipeline: sets `values` (literals or expressions) and, if a field of `watched` changes by it, owes.

    Setting what is already so owes nothing and leaves `version` alone, so that saying a thing twice changes nothing.
    """
    names = [effect.value for effect in effects]
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
                "owed_at": {"$cond": ["$changed", {"$ifNull": ["$owed_at", now]}, "$owed_at"]},
                "ring_at": {"$cond": ["$changed", now + GRACE, "$ring_at"]},
                "rings": {"$cond": ["$changed", 0, "$rings"]},
                "parked": {"$cond": ["$changed", "$$REMOVE", "$parked"]},
            }
        },
        {"$unset": "changed"},
    ]


def paid(effect: Effect) -> list[Stage]:
    """The end of an update pipeline that takes one effect out of the outbox, and the outbox away when it is empty.

    An empty array would stay in the sparse index for ever.
    """
    left = {"$setDifference": [{"$ifNull": ["$outbox", []]}, [effect.value]]}
    nothing_left = {"$eq": ["$outbox", []]}
    return [
        {"$set": {"outbox": left}},
        _NOBODY_RINGS,
        {"$set": {field: {"$cond": [nothing_left, "$$REMOVE", f"${field}"]} for field in NOTHING_OWED["$unset"]}},
    ]


def parked(effect: Effect) -> list[Stage]:
    """An update pipeline: nobody rings for this effect any more, but still for the others that are owed."""
    return [{"$set": {"parked": {"$setUnion": [{"$ifNull": ["$parked", []]}, [effect.value]]}}}, _NOBODY_RINGS]


def redriven(effect: Effect, now: datetime) -> list[Stage]:
    """An update pipeline: the sweeper rings for this effect again, at once."""
    left = {"$setDifference": [{"$ifNull": ["$parked", []]}, [effect.value]]}
    still = {"$cond": [{"$eq": [left, []]}, "$$REMOVE", left]}
    return [{"$set": {"parked": still, "ring_at": now, "rings": 0}}]


def rung(now: datetime, longest: timedelta) -> list[Stage]:
    """An update pipeline for a fact just rung for: the next ring comes after twice the pause, up to a limit."""
    pause = {
        "$min": [longest.total_seconds() * 1000, {"$multiply": [GRACE.total_seconds() * 1000, {"$pow": [2, "$rings"]}]}]
    }
    return [{"$set": {"ring_at": {"$add": [now, pause]}, "rings": {"$min": [20, {"$add": ["$rings", 1]}]}}}]


async def find_owed(
    facts: Readable,
    field: str,
    keys: Sequence[ObjectId],
    effect: Effect,
    fields: Mapping[str, int],
    session: Session,
    most: int,
) -> list[Document]:
    """Up to `most` facts that owe an effect and are settled by these keys, in the order of their `field`.

    So if there are `most`, all that is owed under the keys before the last one's is among them.
    """
    query = {field: {"$in": list(keys)}, "outbox": effect.value}
    # Left to choose, the planner may walk all likes of a post for the few that owe.
    index = [(field, 1), ("outbox", 1)]
    found = facts.find(query, fields, sort=[(field, 1)], limit=most, batch_size=most, session=session, hint=index)
    return await found.to_list()
