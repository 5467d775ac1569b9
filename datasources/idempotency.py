"""Creating once: the client's key is kept in the fact itself, under a unique index, so key and fact cannot come apart.

A replay finds the first result by the key. Keys are kept as long as the fact, which is more than the day promised.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.mongo import Collection, Document
from domain.errors import Refusal, UserErrorCode

KEY_MAX = 200


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

    def fields(self) -> Document:
        """What a new fact carries."""
        return {"idempotency_key": self.key, "idempotency_digest": self.digest}


async def earlier(
    collection: Collection, owner: str, owner_id: ObjectId, idempotency: Idempotency | None
) -> Document | None:
    """The document an earlier call with this key made. Raises Refusal if that call had other input."""
    if idempotency is None:
        return None
    found = await collection.find_one({owner: owner_id, "idempotency_key": idempotency.key})
    if found is not None and found["idempotency_digest"] != idempotency.digest:
        message = "This idempotency key was used with other input."
        raise Refusal(UserErrorCode.IDEMPOTENCY_KEY_REUSED, message, field=["idempotencyKey"])
    return found


def is_replay(error: DuplicateKeyError) -> bool:
    """Whether an insert failed because a twin with the same key was first."""
    return "idempotency_key" in (error.details or {}).get("keyPattern", {})
