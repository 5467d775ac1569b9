"""Sending signed webhooks over HTTP (https://www.standardwebhooks.com): bounded in time, size and number."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from aiohttp import ClientConnectorDNSError, ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from standardwebhooks import Webhook
from yarl import URL

from config import Settings
from datasources.events.public_addresses import PrivateAddressError, PublicResolver, check_host

SEND_SECONDS = 10.0  # for one webhook, from the look-up of the name to the head of the answer
SENT_AT_ONCE = 5  # to one endpoint
GONE = "HTTP 410"  # the endpoint wants nothing any more


class WebhookSender:
    """Sends webhooks; follows no redirects, goes through no proxy, keeps no cookies, and reads no answer's body."""

    def __init__(self, session: ClientSession, *, is_private_allowed: bool) -> None:
        self._session = session
        self._is_private_allowed = is_private_allowed
        self._room = asyncio.Semaphore(SENT_AT_ONCE)

    async def send(self, url: str, body: str, headers: Mapping[str, str]) -> str | None:
        """Sends one webhook; None if the endpoint took it (2xx), else why not, in a few words.

        They hold nothing of the address, whose query may be secret, nor of what the endpoint answers. An address that
        would be refused today is not called, however it came to be stored.
        """
        if reason := why_refused(url, is_private_allowed=self._is_private_allowed):
            return reason
        try:
            async with self._room, asyncio.timeout(SEND_SECONDS):
                sent = self._session.post(url, data=body.encode(), headers=headers, allow_redirects=False)
                async with sent as answer:
                    answer.close()  # its body may have no end
                    return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        except (ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return _in_few_words(error)


@contextlib.asynccontextmanager
async def open_sender(settings: Settings) -> AsyncIterator[WebhookSender]:
    """A sender for one endpoint. Names are looked up once for each."""
    private = settings.webhook_private_addresses
    connector = TCPConnector(resolver=None if private else PublicResolver(), limit=SENT_AT_ONCE)
    async with ClientSession(
        connector=connector,
        timeout=ClientTimeout(total=SEND_SECONDS),
        cookie_jar=DummyCookieJar(),
        headers={"User-Agent": "Photogram-Webhooks/1"},
        auto_decompress=False,
        max_line_size=8_190,
        max_field_size=8_190,
    ) as session:
        yield WebhookSender(session, is_private_allowed=private)


def signed_headers(secrets: Sequence[str], event_id: str, body: str, now: datetime) -> dict[str, str]:
    """The headers of a webhook, with a signature by each secret, the newest first."""
    return {
        "Content-Type": "application/cloudevents+json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, now, body) for secret in secrets),
    }


def _in_few_words(error: Exception) -> str:
    """The class of an error, without its text; of a name of private addresses, which of them."""
    if isinstance(error, ClientConnectorDNSError) and isinstance(error.os_error, PrivateAddressError):
        return str(error.os_error.strerror)
    return type(error).__name__


def why_refused(url: str, *, is_private_allowed: bool) -> str | None:
    """Why webhooks cannot go to an address; None if they may, as far as can be seen without looking the name up."""
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    host = parsed.raw_host
    if not host or parsed.scheme not in ("https", "http"):
        return "the address must begin with https:// and a host"
    if parsed.user or parsed.password or parsed.fragment:
        return "the address must have no user, password or fragment"
    if parsed.scheme == "http" and not is_private_allowed:
        return "the address must begin with https://"
    try:
        check_host(host)
    except PrivateAddressError as error:
        return None if is_private_allowed else error.strerror
    return None
