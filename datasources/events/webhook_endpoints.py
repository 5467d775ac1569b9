"""The endpoints of webhooks: which events go where, signed by which secrets. Operators manage them."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from domain.events import EventType
from domain.records.record import Record, Stored

MAX_ENDPOINTS = 20  # as many calls run at once, so that none waits for another
ROTATED_KEPT = timedelta(days=1)  # for so long a secret that was replaced signs too
MAX_SECRETS = 10  # of one endpoint; each is a signature of every webhook
BY_OPERATOR = "by an operator"  # why an endpoint is disabled that need not be
DISABLED_AFTER = timedelta(days=5)  # of failing without one success


class TooManyEndpointsError(ValueError):
    """There are `MAX_ENDPOINTS` already."""


class SigningSecret(Record, frozen=True, kw_only=True):
    """A secret as Standard Webhooks writes it; one that was replaced signs until `until`."""

    value: str
    until: datetime | None = None


class Endpoint(Stored, frozen=True, kw_only=True):
    """Where webhooks go. No `types` are all. `failing_since` is the first failure after the last success."""

    url: str
    types: list[EventType]
    secrets: list[SigningSecret]  # the current one first
    created_at: datetime
    failing_since: datetime | None = None
    last_error: str | None = None
    disabled_at: datetime | None = None
    disabled_because: str | None = None

    def takes(self, kind: EventType) -> bool:
        """Whether an event of this type goes there."""
        return self.disabled_at is None and (not self.types or kind in self.types)

    def signing_secrets(self, now: datetime) -> list[str]:
        """The secrets to sign with, the current one first."""
        return [each.value for each in self.secrets if each.until is None or each.until > now]


class EndpointStore:
    """The collection `webhook_endpoints`."""

    def __init__(self, database: Database) -> None:
        self._endpoints = database["webhook_endpoints"]

    async def add(self, url: str, types: Sequence[EventType]) -> Endpoint:
        """A new endpoint with a new secret. Raises TooManyEndpointsError."""
        if await self._endpoints.count_documents({}) >= MAX_ENDPOINTS:
            raise TooManyEndpointsError(f"there are {MAX_ENDPOINTS} endpoints already")
        secret = SigningSecret(value=_new_secret())
        endpoint = Endpoint(id=clock.new_id(), url=url, types=list(types), secrets=[secret], created_at=clock.now())
        await self._endpoints.insert_one(endpoint.to_document())
        return endpoint

    async def all(self) -> list[Endpoint]:
        """Every endpoint, oldest first."""
        rows = await self._endpoints.find({}, sort=[("_id", 1)], limit=MAX_ENDPOINTS * 2).to_list()
        return [Endpoint.from_document(row) for row in rows]

    async def by_id(self, endpoint_id: ObjectId) -> Endpoint | None:
        row = await self._endpoints.find_one({"_id": endpoint_id})
        return None if row is None else Endpoint.from_document(row)

    async def rotate(self, endpoint: Endpoint) -> str:
        """Gives an endpoint a new secret, which is returned.

        Each one before signs beside it for `ROTATED_KEPT` from its replacement, the newest `MAX_SECRETS` at most.
        """
        now, new = clock.now(), SigningSecret(value=_new_secret())
        replaced = msgspec.structs.replace(endpoint.secrets[0], until=now + ROTATED_KEPT)
        signing = [each for each in endpoint.secrets[1:] if each.until is not None and each.until > now]
        kept = [each.to_document() for each in (new, replaced, *signing)][:MAX_SECRETS]
        await self._endpoints.update_one({"_id": endpoint.id}, {"$set": {"secrets": kept}})
        return new.value

    async def disable(self, endpoint_id: ObjectId, because: str) -> bool:
        """Ends sending to an endpoint; whether it was enabled. Safe to repeat. An operator's reason stands last."""
        values = {"disabled_at": clock.now(), "disabled_because": because}
        done = await self._endpoints.update_one({"_id": endpoint_id, "disabled_at": None}, {"$set": values})
        if because == BY_OPERATOR:
            disabled = {"_id": endpoint_id, "disabled_at": {"$ne": None}}
            await self._endpoints.update_one(disabled, {"$set": {"disabled_because": because}})
        return done.modified_count == 1

    async def enable(self, endpoint_id: ObjectId) -> None:
        """Begins sending again, with what happens from now on. Safe to repeat."""
        over: Document = dict.fromkeys(("disabled_at", "disabled_because", "failing_since", "last_error"))
        await self._endpoints.update_one({"_id": endpoint_id}, {"$set": over})

    async def delete(self, endpoint_id: ObjectId) -> bool:
        """Deletes an endpoint; whether there was one. Its messages are deleted by `MessageStore.delete_of`."""
        return (await self._endpoints.delete_one({"_id": endpoint_id})).deleted_count == 1

    async def note_success(self, endpoint: Endpoint) -> None:
        """Ends a time of failing."""
        if endpoint.failing_since is not None:
            await self._endpoints.update_one({"_id": endpoint.id}, {"$set": {"failing_since": None}})

    async def note_failure(self, endpoint: Endpoint, error: str, now: datetime) -> datetime:
        """Keeps the latest error; returns since when the endpoint fails."""
        since = endpoint.failing_since or now
        await self._endpoints.update_one({"_id": endpoint.id}, {"$set": {"failing_since": since, "last_error": error}})
        return since


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
