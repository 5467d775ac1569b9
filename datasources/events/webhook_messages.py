"""What waits to be sent to the endpoints of webhooks: a fact for each event and endpoint, without any words.

A message is deleted when its endpoint has taken it. One that failed for the last time is dead: it is kept for
`DEAD_KEPT`, and can be sent again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bson import ObjectId
from pymongo.errors import BulkWriteError

from datasources.events.webhook_endpoints import EndpointStore
from datasources.jobs.outbox import NOTHING_PENDING, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import DUPLICATE_KEY, Database, Document
from domain.events import Event, EventType
from domain.jobs import Fact, Job, Task
from domain.records.record import Stored

MAX_WAITING = 50_000  # messages of one endpoint; with more it is disabled
COUNTED_EVERY = 1_000  # new messages of one endpoint: counting reads an index entry of each that waits
# Pauses before the attempts after the first, as the specification proposes: more than three days in all.
PAUSES = [timedelta(seconds=each) for each in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)]
CLAIM = timedelta(seconds=60)  # as long as a call of the handler may take; then another worker may take the message
DEAD_KEPT = timedelta(days=30)


class MessageState(StrEnum):
    WAITING = "WAITING"
    DEAD = "DEAD"


class WebhookMessage(Stored, frozen=True, kw_only=True, rename={"id": "_id"}):
    """An event on its way to an endpoint. `data` holds ids; words are added when it is sent."""

    id: str  # type: ignore[assignment]  # of endpoint and event: an event waits once for each endpoint
    endpoint_id: ObjectId
    type: EventType
    fact_id: ObjectId
    sequence: int
    subject: str
    time: datetime
    data: dict[str, Any]
    state: MessageState
    attempts: int
    next_at: datetime
    last_error: str | None = None

    def to_event(self) -> Event:
        """The event, without words."""
        return Event(self.type, self.fact_id, self.sequence, self.subject, self.time, self.data)


class MessageStore:
    """The collection `webhook_messages`; as `EventSink`, what takes events for every endpoint."""

    def __init__(self, database: Database, job_queue: JobQueue, endpoints: EndpointStore) -> None:
        self._messages = database[Fact.WEBHOOK_MESSAGE.collection]
        self._job_queue = job_queue
        self._endpoints = endpoints
        self._uncounted: dict[ObjectId, int] = {}  # by endpoint, messages since the last count

    async def send(self, events: Sequence[Event]) -> None:
        """Makes a message of each event for each endpoint that takes its type, unless there is one. Safe to repeat.

        An endpoint for which `MAX_WAITING` wait is disabled; each process may make `COUNTED_EVERY` before it sees that.
        """
        now, documents = clock.now(), list[Document]()
        endpoints = [each for each in await self._endpoints.all() if each.disabled_at is None]
        self._uncounted = {each.id: self._uncounted[each.id] for each in endpoints if each.id in self._uncounted}
        for endpoint in endpoints:
            wanted = [event for event in events if endpoint.takes(event.type)]
            if wanted and await self._is_full(endpoint.id, len(wanted)):
                await self._endpoints.disable(endpoint.id, f"{MAX_WAITING:,} events waited")
                await self.give_up(endpoint.id)
                continue
            documents += [_message(endpoint.id, event, now) for event in wanted]
        if not documents:
            return
        try:
            await self._messages.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
                raise
        await self._enqueue({document["endpoint_id"] for document in documents})

    async def _is_full(self, endpoint_id: ObjectId, added: int) -> bool:
        """Whether too much waits for an endpoint, to which so much is to be added; counted now and then."""
        uncounted = self._uncounted.get(endpoint_id, COUNTED_EVERY)
        is_due = uncounted >= COUNTED_EVERY
        self._uncounted[endpoint_id] = added if is_due else uncounted + added
        return is_due and await self.count(endpoint_id, MessageState.WAITING, MAX_WAITING) >= MAX_WAITING

    async def claim(self, endpoint_id: ObjectId, limit: int, now: datetime) -> list[WebhookMessage]:
        """Up to `limit` messages that are due, the longest due first; nobody else gets them for `CLAIM`."""
        query: Document = {"endpoint_id": endpoint_id, "state": MessageState.WAITING.value, "next_at": {"$lte": now}}
        rows = await self._messages.find(query, {"_id": 1}, sort=[("next_at", 1)], limit=limit).to_list()
        claim = ObjectId()
        taken = {**query, "_id": {"$in": [row["_id"] for row in rows]}}
        held = {"next_at": now + CLAIM, "due_at": now + CLAIM, "claim": claim, "enqueues": 0}
        await self._messages.update_many(taken, {"$set": held})
        claimed = self._messages.find({"_id": taken["_id"], "claim": claim}, sort=[("_id", 1)])
        return [WebhookMessage.from_document(row) for row in await claimed.to_list()]

    async def set_sent(self, messages: Sequence[WebhookMessage]) -> None:
        """Deletes messages that their endpoint has taken."""
        await self._messages.delete_many({"_id": {"$in": [message.id for message in messages]}})

    async def set_failed(self, message: WebhookMessage, error: str, now: datetime) -> None:
        """Schedules the next attempt, or makes the message dead after the last."""
        values: Document = {"attempts": message.attempts + 1, "last_error": error}
        if message.attempts < len(PAUSES):
            at = now + PAUSES[message.attempts]
            # `pending_since` moves too: a message that waits for its next attempt is not late.
            again = {**values, "next_at": at, "due_at": at, "pending_since": at, "enqueues": 0}
            await self._messages.update_one({"_id": message.id, "state": message.state.value}, {"$set": again})
        else:
            await self._messages.update_one({"_id": message.id}, [{"$set": values | _dead(now)}, NOTHING_PENDING])

    async def give_up(self, endpoint_id: ObjectId) -> None:
        """Makes everything that waits for an endpoint dead. Safe to repeat."""
        waiting = {"endpoint_id": endpoint_id, "state": MessageState.WAITING.value}
        await self._messages.update_many(waiting, [{"$set": _dead(clock.now())}, NOTHING_PENDING])

    async def replay(self, endpoint_id: ObjectId) -> int:
        """Lets everything dead of an endpoint wait again, from the first attempt on; returns how much that was."""
        now = clock.now()
        waiting = {"state": MessageState.WAITING.value, "attempts": 0, "next_at": now, **pending_fields(_DELIVER, now)}
        dead = {"endpoint_id": endpoint_id, "state": MessageState.DEAD.value}
        done = await self._messages.update_many(dead, [{"$set": waiting}, {"$unset": ["expires_at", "last_error"]}])
        await self._enqueue([endpoint_id])
        return done.modified_count

    async def delete_of(self, endpoint_id: ObjectId) -> None:
        """Deletes every message of an endpoint. Safe to repeat."""
        await self._messages.delete_many({"endpoint_id": endpoint_id})

    async def count(self, endpoint_id: ObjectId, state: MessageState, limit: int) -> int:
        """How many messages of an endpoint wait or are dead, counted up to `limit`."""
        return await self._messages.count_documents({"endpoint_id": endpoint_id, "state": state.value}, limit=limit)

    async def dead(self, endpoint_id: ObjectId, limit: int) -> list[WebhookMessage]:
        """Up to `limit` dead messages of an endpoint."""
        query = {"endpoint_id": endpoint_id, "state": MessageState.DEAD.value}
        return [WebhookMessage.from_document(row) async for row in self._messages.find(query, limit=limit)]

    async def _enqueue(self, endpoint_ids: "set[ObjectId] | list[ObjectId]") -> None:
        await self._job_queue.enqueue(Job(Task.DELIVER, Fact.WEBHOOK_MESSAGE, str(each)) for each in endpoint_ids)


_DELIVER = [Task.DELIVER]


def _message(endpoint_id: ObjectId, event: Event, now: datetime) -> Document:
    return {
        "_id": f"{endpoint_id}:{event.id}",
        "endpoint_id": endpoint_id,
        "type": event.type.value,
        "fact_id": event.fact_id,
        "sequence": event.sequence,
        "subject": event.subject,
        "time": event.time,
        "data": {name: value for name, value in event.data.items() if name != "content"},
        "state": MessageState.WAITING.value,
        "attempts": 0,
        "next_at": now,
        **pending_fields(_DELIVER, now),
    }


def _dead(now: datetime) -> Document:
    return {"state": MessageState.DEAD.value, "expires_at": now + DEAD_KEPT}
