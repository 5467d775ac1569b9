"""Second factors by one-time codes: turned on, asked for, turned off.

Six digits can be guessed, so wrong codes are counted for each account, before any code is compared, and the owner is
told by mail. A code is good once.
"""

from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.factor_changes import FactorChanges
from datasources.accounts.sealed_secrets import Sealing
from datasources.mongo.client import Database, Document
from domain.errors import Refusal, UserErrorCode
from domain.limits import CODE_TRIES, CODE_TRIES_TOLD, CODE_TRIES_WINDOW, SECOND_FACTOR_SETUP
from domain.one_time_codes import (
    is_one_time_code,
    is_recovery_code,
    matching_step,
    new_recovery_codes,
    new_secret,
    recovery_hash,
    typed_code,
)

_OFF = ("secret", "last_step", "recovery_hashes", "pending_secret", "pending_until")
_CODE = ["oneTimeCode"]


class OneTimeCodeStore:
    """One-time codes in the collection `factors`, which has a document for each account with any factor."""

    def __init__(self, database: Database, sealing: Sealing, changes: FactorChanges) -> None:
        self._factors = database["factors"]
        self._sealing = sealing
        self._changes = changes

    async def begin(self, user_id: ObjectId, now: datetime) -> str:
        """A new secret for an app, which waits to be confirmed. Another call replaces it.

        Raises Refusal (NOT_ALLOWED) if codes are on already, or if the settings have no key.
        """
        secret = new_secret()
        pending: Document = {
            "pending_secret": self._sealing.seal(secret.encode(), user_id.binary),
            "pending_until": now + SECOND_FACTOR_SETUP,
        }
        query = {"_id": user_id, "secret": {"$exists": False}}
        for _ in range(2):  # two first factors of an account can collide; the next try finds the document
            try:
                await self._factors.update_one(query, {"$set": pending}, upsert=True)
            except DuplicateKeyError:
                continue
            return secret
        raise Refusal(UserErrorCode.NOT_ALLOWED, "One-time codes are on already: turn them off first.")

    async def confirm(self, user_id: ObjectId, code: str, now: datetime) -> list[str]:
        """Turns codes on by a code of the secret that waits. Returns the recovery codes, which are not kept in clear.

        Raises Refusal (INVALID_CREDENTIALS, RATE_LIMITED).
        """
        document = await self._charge(user_id, now)
        sealed = document.get("pending_secret") if document.get("pending_until", now) > now else None
        step = self._step(user_id, sealed, typed_code(code), now)
        if step is None:
            raise _wrong_code()
        recovery_codes = new_recovery_codes()
        on: Document = {
            "secret": sealed,
            "last_step": step,
            "recovery_hashes": [recovery_hash(each) for each in recovery_codes],
        }
        clear = dict.fromkeys(("pending_secret", "pending_until", "tries", "tries_until"), "")
        as_read = {"pending_secret": sealed, "secret": {"$exists": False}}
        if not await self._changes.apply(user_id, {"$set": on, "$unset": clear}, where=as_read):
            raise _wrong_code()
        return recovery_codes

    async def check(self, user_id: ObjectId, code: str, now: datetime) -> None:
        """Spends a code of the app, or a recovery code. Raises Refusal (INVALID_CREDENTIALS, RATE_LIMITED).

        Of concurrent ones with the same code, one succeeds.
        """
        typed = typed_code(code)
        if is_one_time_code(typed):
            await self._check_code(user_id, typed, now)
        elif not is_recovery_code(typed) or not await self._spend_recovery_code(user_id, typed):
            raise _wrong_code()

    async def renew_recovery_codes(self, user_id: ObjectId) -> list[str]:
        """New recovery codes in place of all old ones. Raises Refusal (NOT_ALLOWED) while codes are off."""
        codes = new_recovery_codes()
        query = {"_id": user_id, "secret": {"$exists": True}}
        hashes = [recovery_hash(each) for each in codes]
        done = await self._factors.update_one(query, {"$set": {"recovery_hashes": hashes}})
        if done.matched_count != 1:
            raise Refusal(UserErrorCode.NOT_ALLOWED, "One-time codes are off.")
        return codes

    async def turn_off(self, user_id: ObjectId) -> None:
        """Turns codes off. Safe to repeat."""
        await self._changes.apply(user_id, {"$unset": dict.fromkeys(_OFF, "")})

    async def _check_code(self, user_id: ObjectId, code: str, now: datetime) -> None:
        document = await self._charge(user_id, now)
        step = self._step(user_id, document.get("secret"), code, now)
        if step is None:
            if document["tries"] == CODE_TRIES_TOLD and "secret" in document:
                await self._changes.tell_of_wrong_codes(user_id)
            raise _wrong_code()
        query = {"_id": user_id, "secret": document["secret"], "last_step": {"$lt": step}}
        clear = {"tries": "", "tries_until": ""}
        spent = await self._factors.update_one(query, {"$set": {"last_step": step}, "$unset": clear})
        if spent.modified_count != 1:  # this code, or a later one, was spent before
            raise _wrong_code()

    async def _spend_recovery_code(self, user_id: ObjectId, code: str) -> bool:
        hashed = recovery_hash(code)
        query = {"_id": user_id, "recovery_hashes": hashed}
        return (await self._factors.update_one(query, {"$pull": {"recovery_hashes": hashed}})).modified_count == 1

    async def _charge(self, user_id: ObjectId, now: datetime) -> Document:
        """Counts a try, before anything is compared; the factors. Raises Refusal."""
        is_open = {"$gt": ["$tries_until", now]}
        counted = {
            "tries": {"$cond": [is_open, {"$add": ["$tries", 1]}, 1]},
            "tries_until": {"$cond": [is_open, "$tries_until", now + CODE_TRIES_WINDOW]},
        }
        query = {"_id": user_id, "$nor": [{"tries": {"$gte": CODE_TRIES}, "tries_until": {"$gt": now}}]}
        document = await self._factors.find_one_and_update(query, [{"$set": counted}], return_document=True)
        if document is not None:
            return document
        refused = await self._factors.find_one({"_id": user_id}, {"tries_until": 1})
        if refused is None or "tries_until" not in refused:
            raise _wrong_code()
        wait = int((refused["tries_until"] - now).total_seconds() * 1000)
        message = "Too many wrong codes. Wait, or use a recovery code or a passkey."
        raise Refusal(UserErrorCode.RATE_LIMITED, message, field=_CODE, retry_after_ms=max(wait, 1_000))

    def _step(self, user_id: ObjectId, sealed: bytes | None, code: str, now: datetime) -> int | None:
        if sealed is None:
            return None
        secret = self._sealing.open(sealed, user_id.binary)
        if secret is None:
            raise RuntimeError("no key of PHOTOGRAM_SECRET_KEYS opens the secret of an account's one-time codes")
        return matching_step(secret.decode(), code, now)


def _wrong_code() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "The code is wrong, or was used before.", field=_CODE)
