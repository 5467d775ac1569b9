"""Devices on which somebody has logged in before: their owner can still log in there while others guess the password.

They stand in the account's own document, so they leave with it. Only hashes of their tokens are stored.
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import NamedTuple, Self

from bson import ObjectId

from config import Settings
from datasources.accounts.claims import Claimed, ClaimStore
from datasources.accounts.sealed_secrets import keys_of
from datasources.accounts.signed_devices import SignedDevices
from datasources.mongo.client import Database
from domain.limits import KNOWN_DEVICE_KEPT, KNOWN_DEVICES_MAX

DEVICES = "known_devices"  # the field of `users`


class KnownDevice(NamedTuple):
    """A device by its token; the hash names it where it is stored."""

    token: str

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_urlsafe(32))

    @classmethod
    def of_first_session(cls, secret: str) -> Self:
        """The device of the first session of an account; the same again for the secret that its tokens are of."""
        return cls(hashlib.sha256(f"device {secret}".encode(errors="replace")).hexdigest())

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.token.encode(errors="replace")).hexdigest()


class KnownDevices:
    """The latest devices of each account, up to `KNOWN_DEVICES_MAX`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._users = database["users"]
        self._claims = ClaimStore(database)
        self._signed = SignedDevices(keys_of(settings))

    def new(self, user_id: ObjectId) -> KnownDevice:
        """A device of this account that nobody knows yet."""
        return KnownDevice(self._signed.sign(KnownDevice.new().token, user_id))

    def of_first_session(self, user_id: ObjectId, secret: str) -> KnownDevice:
        """The device of the first session of an account; the same again for the secret that its tokens are of."""
        return KnownDevice(self._signed.sign(KnownDevice.of_first_session(secret).token, user_id))

    def account_of(self, token: str) -> ObjectId | None:
        """The account that this token was made for, which may have ended it since. Asks nobody."""
        return self._signed.account_of(token)

    async def find(self, login: str, token: str, now: datetime) -> KnownDevice | None:
        """The device of this token, if it is one of the account with this handle or address, in any case."""
        claimed = Claimed.EMAIL if "@" in login else Claimed.USERNAME
        holders = await self._claims.find(claimed, [login.lower()])
        return await self.find_of(holders.get(login.lower()), token, now)

    async def find_of(self, user_id: ObjectId | None, token: str, now: datetime) -> KnownDevice | None:
        """The device of this token, if it is one of this account."""
        user = await self._users.find_one({"_id": user_id}, projection={DEVICES: 1})
        device, since = KnownDevice(token), now - KNOWN_DEVICE_KEPT
        known = [each["hash"] for each in (user or {}).get(DEVICES, ()) if each["used_at"] > since]
        return device if any(hmac.compare_digest(each, device.hash) for each in known) else None

    async def note_login(self, user_id: ObjectId, device: KnownDevice, now: datetime) -> None:
        """Makes a device known, or one that is known already for longer. Safe to repeat."""
        query = {"_id": user_id, f"{DEVICES}.hash": device.hash}
        noted = await self._users.update_one(query, {"$set": {f"{DEVICES}.$.used_at": now}})
        if noted.matched_count == 0:
            pushed = {"$each": [{"hash": device.hash, "used_at": now}], "$slice": -KNOWN_DEVICES_MAX}
            await self._users.update_one({"_id": user_id}, {"$push": {DEVICES: pushed}})

    async def remove(self, user_id: ObjectId, known_as: str) -> None:
        """Makes the device of this hash unknown. Safe to repeat."""
        await self._users.update_one({"_id": user_id}, {"$pull": {DEVICES: {"hash": known_as}}})

    async def remove_others(self, user_id: ObjectId, kept: str | None) -> None:
        """Makes all devices of an account unknown but the one of this hash. Safe to repeat."""
        await self._users.update_one({"_id": user_id}, {"$pull": {DEVICES: {"hash": {"$ne": kept}}}})
