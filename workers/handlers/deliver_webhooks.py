"""Webhooks are sent to their endpoints, signed, and tried again later if an endpoint does not take them."""

import asyncio
from collections.abc import Collection

import orjson
import structlog
from bson import ObjectId

from datasources.events.webhook_endpoints import DISABLED_AFTER, MAX_ENDPOINTS, Endpoint
from datasources.events.webhook_messages import WebhookMessage
from datasources.events.webhook_sender import GONE, WebhookSender, open_sender, signed_headers
from datasources.mongo import clock
from datasources.telemetry.metrics import Tally
from domain.events import Event
from workers.handlers.event_content import with_content
from workers.runtime.handler import Tools

log = structlog.get_logger(__name__)

BATCH = 20  # messages of one call; at `SENT_AT_ONCE` of `SEND_SECONDS` well within its time limit
MAX_COUNTED = MAX_ENDPOINTS * 2  # endpoints: ids of new ones keep coming
_SENT = Tally("photogram_webhooks", "Attempts to send webhooks: delivered or failed.", "endpoint", "outcome")
_counted: dict[str, None] = {}  # the endpoints with counters, the latest last


async def deliver_webhooks(tools: Tools, key: str) -> Collection[str]:
    """Sends what is due for one endpoint, a few at once.

    Safe to run twice: a message that is sent again has the same `webhook-id`. A failed message is due again after a
    pause. An endpoint that is gone (410) or has failed for `DISABLED_AFTER` is disabled. While webhooks are turned off,
    everything is dead at once, so that a restored copy of a database tells nobody.
    """
    sources, endpoint_id = tools.sources, ObjectId(key)
    endpoint = await sources.webhook_endpoints.by_id(endpoint_id)
    if endpoint is None:
        await sources.webhook_messages.delete_of(endpoint_id)
        return ()
    if endpoint.disabled_at is not None or "webhooks" not in sources.settings.events:
        await sources.webhook_messages.give_up(endpoint_id)
        return ()
    messages = await sources.webhook_messages.claim(endpoint_id, BATCH, clock.now())
    events = await with_content(sources, [message.to_event() for message in messages])
    async with open_sender(sources.settings) as sender:
        source = sources.settings.events_source
        errors = await asyncio.gather(*(_send(sender, endpoint, event, source) for event in events))
    outcomes = list(zip(messages, errors, strict=True))
    await sources.webhook_messages.set_sent([message for message, error in outcomes if error is None])
    failed = [(message, error) for message, error in outcomes if error is not None]
    for message, error in failed:
        await sources.webhook_messages.set_failed(message, error, clock.now())
    count_sent(key, delivered=len(messages) - len(failed), failed=len(failed))
    await _note(tools, endpoint, failed, sent=len(messages) - len(failed))
    return [key] if len(messages) == BATCH and len(failed) < BATCH else ()


async def _send(sender: WebhookSender, endpoint: Endpoint, event: Event, source: str) -> str | None:
    body, now = orjson.dumps(event.to_cloud_event(source)).decode(), clock.now()
    return await sender.send(endpoint.url, body, signed_headers(endpoint.signing_secrets(now), event.id, body, now))


def count_sent(endpoint: str, *, delivered: int, failed: int) -> None:
    """Counts attempts for Prometheus, for the `MAX_COUNTED` endpoints that were sent to last."""
    _counted.pop(endpoint, None)
    _counted[endpoint] = None
    while len(_counted) > MAX_COUNTED:
        _counted.pop(oldest := next(iter(_counted)))
        _SENT.remove(oldest)
    _SENT.add(endpoint, "delivered", by=delivered)
    _SENT.add(endpoint, "failed", by=failed)


async def _note(tools: Tools, endpoint: Endpoint, failed: list[tuple[WebhookMessage, str]], *, sent: int) -> None:
    """Keeps whether the endpoint works; disables it if it does not for too long."""
    endpoints, now = tools.sources.webhook_endpoints, clock.now()
    if sent:
        await endpoints.note_success(endpoint)
    if not failed:
        return
    error = failed[-1][1]
    log.warning("webhooks.failed", endpoint=str(endpoint.id), messages=len(failed), error=error)
    since = now if sent else await endpoints.note_failure(endpoint, error, now)
    if error == GONE or now - since > DISABLED_AFTER:
        await endpoints.disable(endpoint.id, f"failing since {since:%Y-%m-%d %H:%M}: {error}")
        await tools.sources.webhook_messages.give_up(endpoint.id)
        log.error("webhooks.disabled", endpoint=str(endpoint.id), error=error)
