"""Idempotency keys that no unique index can hold, because their facts are not sharded by who sends the keys: claims.

Fact and claim are written in one transaction, so there is never one without the other. A claim says the fact's id. It
stays as long as the fact, and after that until the key is a day old, so a late retry creates nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from datasources.jobs.idempotency import Idempotency, key_reused
from datasources.mongo.client import Database, Document, Session
from domain.limits import IDEMPOTENCY_HOURS

SHOWN_WITHIN = timedelta(minutes=1)  # after the making of its id a fact is in all shards, or never


class KeyTaken(Exception):
    """An earlier call came with this key."""


class Claim(NamedTuple):
    """The fact that has a key, and whether its deletion has ended the claim."""

    fact_id: ObjectId
    is_ending: bool

    def may_be_ahead(self, now: datetime) -> bool:
        """Whether the fact may be about to be seen: two shards of a cluster do not show one transaction at once."""
        return not self.is_ending and self.fact_id.generation_time > now - SHOWN_WITHIN


class ClaimedKeys:
    """The collection `claims`, as far as it holds keys of facts whose `author_id` sends them."""

    def __init__(self, database: Database) -> None:
        self._claims = database["claims"]

    async def claim(self, fact: Document, session: Session) -> None:
        """Claims the key of a new fact within the transaction that inserts it. Raises KeyTaken."""
        claim = {"_id": _id(fact), "fact_id": fact["_id"], "digest": fact["idempotency_digest"]}
        try:
            await self._claims.insert_one(claim, session=session)
        except DuplicateKeyError:
            raise KeyTaken from None

    async def find(self, author_id: ObjectId, idempotency: Idempotency) -> Claim | None:
        """What an earlier call with this key made, also if that is deleted.

        Raises Refusal (IDEMPOTENCY_KEY_REUSED) if that call had other input.
        """
        fact: Document = {"author_id": author_id, **idempotency.fields()}
        claim = await self._claims.find_one({"_id": _id(fact)})
        if claim is not None and claim["digest"] != idempotency.digest:
            raise key_reused()
        return None if claim is None else Claim(claim["fact_id"], "expires_at" in claim)

    async def expire(self, facts: Sequence[Document], session: Session | None = None) -> None:
        """Frees the keys of facts that are deleted for good, each a day after it came. Safe to repeat."""
        changes = [
            UpdateOne({"_id": _id(fact)}, {"$set": {"expires_at": key_ends_at(fact["_id"])}})
            for fact in facts
            if "idempotency_key" in fact
        ]
        if changes:
            await self._claims.bulk_write(changes, ordered=False, session=session)

    async def delete_of_author(self, author_id: ObjectId) -> None:
        """Frees all keys of a deleted account. Safe to repeat."""
        await self._claims.delete_many(claims_by_author(author_id))


def key_ends_at(fact_id: ObjectId) -> datetime:
    """Until when the key of a fact that is deleted for good stays claimed."""
    return fact_id.generation_time + timedelta(hours=IDEMPOTENCY_HOURS)


def claims_by_author(author_id: ObjectId) -> Document:
    """A query for the claims of the keys that an account sent."""
    return {"_id": {"$gt": f"key:{author_id}:", "$lt": f"key:{author_id};"}}


def _id(fact: Document) -> str:
    return f"key:{fact['author_id']}:{fact['idempotency_key']}"
