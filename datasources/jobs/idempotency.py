"""Creating once: the fact that a mutation makes holds the client's key, under a unique index.

A repeated key finds the first result, whenever it comes. A key outlives its fact: what is deleted within a day of its
creation leaves an empty tombstone under the same index until the day is over, so a late retry creates nothing.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import NOTHING_PENDING
from datasources.mongo.client import Collection, Document, Readable, Session
from datasources.mongo.queries import BY_ID
from domain.errors import Refusal, UserErrorCode
from domain.limits import IDEMPOTENCY_HOURS, IDEMPOTENCY_KEY_MAX, REGISTRATION_KEY_MIN


class Idempotency(msgspec.Struct, frozen=True):
    """A client's key, and a digest of the input that came with it."""

    key: str
    digest: bytes

    @classmethod
    def of(cls, key: str | None, mutation: str, arguments: Mapping[str, Any]) -> "Idempotency | None":
        """None without a key. Raises Refusal for an empty or overlong one."""
        if key is None:
            return None
        if not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
            message = f"An idempotency key has 1 to {IDEMPOTENCY_KEY_MAX} characters."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["idempotencyKey"])
        encoded = msgspec.json.encode(arguments, enc_hook=str, order="sorted")
        return cls(f"{mutation}:{key}", hashlib.sha256(encoded).digest())

    @classmethod
    def of_registration(cls, key: str | None, arguments: Mapping[str, Any]) -> "Idempotency | None":
        """As `of`, for `register`, which has no viewer: the key alone identifies the client, so it is hard to guess.

        The tokens of the first session are derived from the key, so only its hash is stored. `arguments` lacks the
        password: a digest would make it quick to guess.
        """
        if key is not None and len(key) < REGISTRATION_KEY_MIN:
            message = f"This idempotency key has at least {REGISTRATION_KEY_MIN} characters; send a random one."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["idempotencyKey"])
        plain = cls.of(key, "register", arguments)
        return plain and cls(hashlib.sha256(plain.key.encode(errors="replace")).hexdigest(), plain.digest)

    def fields(self) -> Document:
        return {"idempotency_key": self.key, "idempotency_digest": self.digest}


async def find_earlier(
    collection: Readable, owner: str, owner_id: ObjectId, idempotency: Idempotency | None
) -> Document | None:
    """The document that an earlier call with this key created; None without one.

    Raises Refusal if that call had other input (IDEMPOTENCY_KEY_REUSED) or its document is deleted (NOT_FOUND).
    """
    if idempotency is None:
        return None
    document = await collection.find_one({owner: owner_id, "idempotency_key": idempotency.key})
    if document is not None and document["idempotency_digest"] != idempotency.digest:
        raise key_reused()
    if document is not None and document.get("deleted"):
        raise result_deleted()
    return document


def result_deleted() -> Refusal:
    message = "What was made with this idempotency key has been deleted."
    return Refusal(UserErrorCode.NOT_FOUND, message, field=["idempotencyKey"])


def key_reused() -> Refusal:
    message = "This idempotency key was used with other input."
    return Refusal(UserErrorCode.IDEMPOTENCY_KEY_REUSED, message, field=["idempotencyKey"])


async def delete_keeping_keys(
    collection: Collection, query: Mapping[str, Any], emptied: Mapping[str, Any], session: Session | None = None
) -> bool:
    """Deletes those of the documents with the `_id`s of `query` that match it; whether there were any.

    Safe to repeat and to stop half way.

    Those with a key stay as tombstones with the `emptied` fields and nothing pending; a TTL index removes them
    `IDEMPOTENCY_HOURS` after their creation.
    """
    ends = {"$add": [{"$toDate": "$_id"}, IDEMPOTENCY_HOURS * 3_600_000]}
    tombstone = [{"$set": {**emptied, "expires_at": ends}}, NOTHING_PENDING]
    key = "idempotency_key"
    buried = await collection.update_many({**query, key: {"$exists": True}}, tombstone, session=session, hint=BY_ID)
    deleted = await collection.delete_many({**query, key: {"$exists": False}}, session=session, hint=BY_ID)
    return buried.matched_count + deleted.deleted_count > 0
