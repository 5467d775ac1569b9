"""Serves `/metrics` of this process for Prometheus, on a port that clients do not reach."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

from datasources.telemetry.metrics import REGISTRY

log = structlog.stdlib.get_logger(__name__)

PATH = "/metrics"
SCRAPE_SECONDS = 10.0  # for one request, from its first byte to the last of its answer
SCRAPES_MAX = 4  # at once; more are dropped
HEAD_BYTES = 8 * 1024
RETRY_SECONDS = 5.0  # while the port is taken, as by a process that drains


@contextlib.asynccontextmanager
async def serve_metrics(host: str, port: int | None) -> AsyncIterator[None]:
    """Answers `GET /metrics` during the block; with None as the port nobody does.

    A port that is taken is tried again and again, and stops nothing: without metrics the product still works.
    """
    if port is None:
        yield
        return
    serving = asyncio.create_task(_keep_serving(host, port), name="metrics")
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait({serving}, timeout=1.0)


async def _keep_serving(host: str, port: int) -> None:
    scrapes = _Scrapes()
    while True:
        try:
            server = await asyncio.start_server(scrapes.answer, host, port, limit=HEAD_BYTES)
        except (OSError, OverflowError) as error:  # the latter for a port above 65535
            log.error("metrics.not_served", host=host, port=port, error=str(error))  # noqa: TRY400  no stack is needed
            await asyncio.sleep(RETRY_SECONDS)
            continue
        log.info("metrics.served", host=host, port=port)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()


class _Scrapes:
    """Answers requests, few at once and each in a limited time."""

    def __init__(self) -> None:
        self._running = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._running >= SCRAPES_MAX:
            writer.transport.abort()
            return
        self._running += 1
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head.decode("latin-1")))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._running -= 1


async def _answer(head: str) -> bytes:
    request, *lines = head.split("\r\n")
    method, _, rest = request.partition(" ")
    if method not in ("GET", "HEAD"):
        return _encode("405 Method Not Allowed", "text/plain", b"", "Allow: GET, HEAD\r\n")
    if rest.partition(" ")[0].partition("?")[0] != PATH:
        return _encode("404 Not Found", "text/plain", b"metrics are at /metrics\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    try:
        encode, content_type = choose_encoder(headers.get("accept", ""))
    except TypeError:  # of a version that is no number
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    body = await asyncio.to_thread(encode, REGISTRY)  # it takes milliseconds, which the loop does not wait for
    answer = _encode("200 OK", content_type, body)
    return answer.removesuffix(body) if method == "HEAD" else answer


def _encode(status: str, content_type: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}Connection: close\r\n\r\n".encode() + body
