"""Creating once: the client's key is kept in the fact itself, under a unique index, so key and fact cannot come apart.

A replay finds the first result by the key, whenever it comes. A key outlives its fact: what is deleted within a day of
its making leaves a tombstone, emptied, under the same index until the day is over, so that a late retry makes nothing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import NOTHING_PENDING
from datasources.mongo.client import Collection, Document, Readable, Session
from domain.errors import Refusal, UserErrorCode
from domain.limits import IDEMPOTENCY_HOURS

KEY_MAX = 200
REGISTRATION_KEY_MIN = 16


class Idempotency(msgspec.Struct, frozen=True):
    """A client's key and a digest of the input it came with."""

    key: str
    digest: bytes

    @classmethod
    def of(cls, key: str | None, mutation: str, given: Mapping[str, Any]) -> "Idempotency | None":
        """None without a key. Raises Refusal for an empty or overlong one."""
        if key is None:
            return None
        if not 1 <= len(key) <= KEY_MAX:
            message = f"An idempotency key has 1 to {KEY_MAX} characters."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["idempotencyKey"])
        encoded = msgspec.json.encode(given, enc_hook=str, order="sorted")
        return cls(f"{mutation}:{key}", hashlib.sha256(encoded).digest())

    @classmethod
    def of_registration(cls, key: str | None, given: Mapping[str, Any]) -> "Idempotency | None":
        """As `of`, for `register`, which no viewer sends: the key alone says whose it is, so it must be hard to guess.

        The tokens of the first session are derived from it, so only its hash is stored. `given` is without the
        password, for a digest would be quick to guess it by.
        """
        if key is not None and len(key) < REGISTRATION_KEY_MIN:
            message = f"This idempotency key has at least {REGISTRATION_KEY_MIN} characters; send a random one."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["idempotencyKey"])
        made = cls.of(key, "register", given)
        return made and cls(hashlib.sha256(made.key.encode(errors="replace")).hexdigest(), made.digest)

    def fields(self) -> Document:
        """What a new fact carries."""
        return {"idempotency_key": self.key, "idempotency_digest": self.digest}


async def find_earlier(
    collection: Readable, owner: str, owner_id: ObjectId, idempotency: Idempotency | None
) -> Document | None:
    """The document an earlier call with this key made.

    Raises Refusal if that call had other input (IDEMPOTENCY_KEY_REUSED), or if what it made is deleted (NOT_FOUND).
    """
    if idempotency is None:
        return None
    found = await collection.find_one({owner: owner_id, "idempotency_key": idempotency.key})
    if found is not None and found["idempotency_digest"] != idempotency.digest:
        raise reused()
    if found is not None and found.get("deleted"):
        raise deleted_since()
    return found


def deleted_since() -> Refusal:
    """The refusal of a key whose fact is deleted."""
    message = "What was made with this idempotency key has been deleted."
    return Refusal(UserErrorCode.NOT_FOUND, message, field=["idempotencyKey"])


def reused() -> Refusal:
    """The refusal of a key that came with other input before."""
    message = "This idempotency key was used with other input."
    return Refusal(UserErrorCode.IDEMPOTENCY_KEY_REUSED, message, field=["idempotencyKey"])


async def bury(
    collection: Collection, query: Mapping[str, Any], emptied: Mapping[str, Any], session: Session | None = None
) -> bool:
    """Takes away the documents that `query` finds; whether there were any. Safe to repeat and to stop half way.

    Those with a key stay as tombstones, with these fields instead of their own and without a debt, until
    `IDEMPOTENCY_HOURS` after their making, when an index lets them go.
    """
    ends = {"$add": [{"$toDate": "$_id"}, IDEMPOTENCY_HOURS * 3_600_000]}
    tombstone = [{"$set": {**emptied, "expires_at": ends}}, NOTHING_PENDING]
    key = "idempotency_key"
    kept = await collection.update_many({**query, key: {"$exists": True}}, tombstone, session=session)
    gone = await collection.delete_many({**query, key: {"$exists": False}}, session=session)
    return kept.matched_count + gone.deleted_count > 0
