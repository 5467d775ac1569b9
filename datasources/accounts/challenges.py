"""Challenges: random texts that a client has to answer within minutes, each once.

A challenge says by itself what it is for, for whom and until when, sealed. So to ask for one stores nothing, however
many ask. Only the hash of one that was answered is stored, until it expires.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pymongo.errors import DuplicateKeyError

from datasources.accounts.sealed_secrets import Sealing
from datasources.mongo.client import Database

_RANDOM_BYTES = 16
_TIME_BYTES = 8


class Purpose(StrEnum):
    """What a challenge is for; it is good for nothing else."""

    SECOND_FACTOR = "second factor"
    PASSKEY_REGISTRATION = "passkey registration"
    PASSKEY = "passkey"
    IDENTITY = "identity"


class Challenges:
    """The collection `spent_challenges`; a TTL index removes those that have expired."""

    def __init__(self, database: Database, sealing: Sealing) -> None:
        self._spent = database["spent_challenges"]
        self._sealing = sealing

    def issue(self, purpose: Purpose, subject: bytes, *, expires_at: datetime) -> bytes:
        """A new challenge about `subject`. Raises Refusal (NOT_ALLOWED) if the settings have no key."""
        time = int(expires_at.timestamp()).to_bytes(_TIME_BYTES, "big")
        return self._sealing.seal(time + secrets.token_bytes(_RANDOM_BYTES) + subject, purpose.encode())

    def subject(self, challenge: bytes, purpose: Purpose, now: datetime) -> bytes | None:
        """What a challenge is about; None for one that we did not issue for this purpose, or that has expired."""
        opened = self._sealing.open(challenge, purpose.encode())
        if opened is None or _expiry(opened) <= now:
            return None
        return opened[_TIME_BYTES + _RANDOM_BYTES :]

    async def spend(self, challenge: bytes, *, lifetime: timedelta, now: datetime) -> bool:
        """Marks a challenge, which lives for `lifetime` at most, as answered; False if it was answered before."""
        try:
            await self._spent.insert_one(
                {"_id": hashlib.sha256(challenge).digest(), "expires_at": now + lifetime + timedelta(minutes=1)}
            )
        except DuplicateKeyError:
            return False
        return True


def _expiry(opened: bytes) -> datetime:
    return datetime.fromtimestamp(int.from_bytes(opened[:_TIME_BYTES], "big"), UTC)
