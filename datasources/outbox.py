"""What a fact owes, kept inside it: fields `outbox`, `owed_at`, `ring_at` and `rings` (docs/adr/0002).

`outbox` holds the names of the effects owed and is absent when none are; `owed_at` is when the fact began to owe.
`ring_at` is when the sweeper rings for it next; it is absent when nothing is owed, and when the fact is parked among
the dead letters. `rings` counts the sweeper's rings, for its back-off.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo import Collection, Document, Session
from domain.events import Effect

Stage = dict[str, Any]

GRACE = timedelta(seconds=3)  # how long the doorbell's own worker has before the sweeper rings again
LONGEST_PAUSE = timedelta(seconds=60)
_ONLY_OWING = ("outbox", "owed_at", "ring_at", "rings")


def owing(effects: Iterable[Effect], now: datetime) -> dict[str, Any]:
    """The fields of a new fact that owes these effects."""
    return {"outbox": [effect.value for effect in effects], "owed_at": now, "ring_at": now + GRACE, "rings": 0}


def owing_again(effects: Iterable[Effect], now: datetime) -> Stage:
    """A stage of an update pipeline: the fact owes these effects too, and is rung for at once."""
    owed = {"$setUnion": [{"$ifNull": ["$outbox", []]}, [effect.value for effect in effects]]}
    return {"$set": {"outbox": owed, "owed_at": {"$ifNull": ["$owed_at", now]}, "ring_at": now, "rings": 0}}


def change(values: Mapping[str, Any], effects: Iterable[Effect], now: datetime, *, watched: str) -> list[Stage]:
    """An update pipeline: sets `values` (literals or expressions) and, if the field `watched` changes by it, owes.

    Setting what is already so owes nothing and leaves `version` alone, so that saying a thing twice changes nothing.
    """
    names = [effect.value for effect in effects]
    changed = {"$ne": [{"$ifNull": [f"${watched}", None]}, values[watched]]}
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
        {"$set": {field: {"$cond": [nothing_left, "$$REMOVE", f"${field}"]} for field in _ONLY_OWING}},
    ]


def rung(now: datetime, longest: timedelta) -> list[Stage]:
    """An update pipeline for a fact just rung for: the next ring comes after twice the pause, up to a limit."""
    pause = {
        "$min": [longest.total_seconds() * 1000, {"$multiply": [GRACE.total_seconds() * 1000, {"$pow": [2, "$rings"]}]}]
    }
    return [{"$set": {"ring_at": {"$add": [now, pause]}, "rings": {"$min": [20, {"$add": ["$rings", 1]}]}}}]


async def find_owed(
    facts: Collection,
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
