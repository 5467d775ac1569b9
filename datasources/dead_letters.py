"""Dead letters: effects that a worker could not pay, with the reason, kept in MongoDB so that no wipe loses them."""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from bson import ObjectId

from datasources.mongo import Collection, Database, Document
from datasources.outbox import owing
from domain.events import SETTLED_BY, Effect, Fact, Ring

ATTEMPTS = 5
REASON_MOST = 2_000


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work that failed; it is dead once it failed `ATTEMPTS` times."""

    ring: Ring
    attempts: int
    reason: str
    dead: bool
    last_at: datetime


class DeadLetterStore:
    """The collection `failures`: one document for each piece of work that has failed and not succeeded since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failures = database["failures"]

    async def failed(self, ring: Ring, reason: str, now: datetime) -> DeadLetter:
        """Counts a failed attempt; the last one parks the facts, so that the sweeper rings for them no more."""
        pipeline = [
            {"$set": {"attempts": {"$add": [{"$ifNull": ["$attempts", 0]}, 1]}, "last_at": now}},
            {"$set": {"reason": {"$literal": reason[:REASON_MOST]}, "dead": {"$gte": ["$attempts", ATTEMPTS]}}},
        ]
        key = {"_id": msgspec.to_builtins(ring)}
        document = await self._failures.find_one_and_update(key, pipeline, upsert=True, return_document=True)
        letter = _letter(document or {})
        if letter.dead:
            await self._facts(ring).update_many(_owing(ring), {"$unset": {"ring_at": ""}})
        return letter

    async def succeeded(self, *rings: Ring) -> None:
        """Forgets earlier failures. Safe to repeat."""
        if rings:
            await self._failures.delete_many({"_id": {"$in": [msgspec.to_builtins(ring) for ring in rings]}})

    async def dead(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter, the latest first."""
        async for document in self._failures.find({"dead": True}, sort=[("last_at", -1)]):
            yield _letter(document)

    async def redrive(self, ring: Ring, now: datetime) -> None:
        """Lets the work be tried again from the first attempt on. Safe to repeat."""
        await self.succeeded(ring)
        schedule = {name: value for name, value in owing([], now).items() if name != "outbox"}
        await self._facts(ring).update_many(_owing(ring), {"$set": {**schedule, "ring_at": now}})

    def _facts(self, ring: Ring) -> Collection:
        return self._database[f"{ring.fact.value}s"]


def _owing(ring: Ring) -> Document:
    return {SETTLED_BY[ring.effect, ring.fact]: ObjectId(ring.key), "outbox": ring.effect.value}


def _letter(document: Document) -> DeadLetter:
    key = document["_id"]
    return DeadLetter(
        ring=Ring(Effect(key["effect"]), Fact(key["fact"]), key["key"]),
        attempts=document["attempts"],
        reason=document["reason"],
        dead=document["dead"],
        last_at=document["last_at"],
    )
