"""Clients of one HTTP server: many connections, each with one request at a time, as fast or as often as asked."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from deploy.local.ports import LOOPBACK

ANSWER_SECONDS = 30.0


class Connection(asyncio.Protocol):
    """A connection that sends one request at a time and reads its answer, of a given length or in chunks."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server has closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answer is None or self._answer.done():
            return
        try:
            body = _body(self._received)
        except RuntimeError as error:
            self._answer.set_exception(error)
            return
        if body is not None:
            self._received.clear()
            self._answer.set_result(body)

    async def ask(self, request: bytes) -> bytes:
        """Sends one request and returns the body of its answer. Raises RuntimeError for another status than 200."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


@contextlib.asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """As many open connections to a port of this machine."""
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, LOOPBACK, port))[1] for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.transport.close()


def http_request(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> bytes:
    """A GraphQL request as bytes."""
    encoded = json.dumps(body).encode()
    lines = {
        "host": LOOPBACK,
        "content-type": "application/json",
        "accept": "application/json",
        "content-length": str(len(encoded)),
    } | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /graphql HTTP/1.1\r\n{head}\r\n".encode() + encoded


async def ask_all(connections: Sequence[Connection], requests: Sequence[bytes]) -> list[float]:
    """Sends all requests, each connection the next one as soon as it is answered. Returns the seconds of each."""
    waiting, seconds = iter(requests), list[float]()

    async def send(connection: Connection) -> None:
        for request in waiting:
            started = time.perf_counter()
            await connection.ask(request)
            seconds.append(time.perf_counter() - started)

    async with asyncio.timeout(ANSWER_SECONDS + len(requests)):
        await asyncio.gather(*map(send, connections))
    return seconds


async def ask_at_rate(connections: Sequence[Connection], requests: Sequence[bytes], rate: float) -> list[float]:
    """Sends so many requests a second at even intervals, however slow the answers. Returns the seconds of each.

    A request that no connection is free for waits, and its time counts.
    """
    free, seconds = asyncio.LifoQueue[Connection](), list[float]()
    for connection in connections:
        free.put_nowait(connection)

    async def send(request: bytes) -> None:
        started = time.perf_counter()
        connection = await free.get()
        while connection.transport.is_closing():  # the server has closed it, because it was idle
            connection = await free.get()
        await connection.ask(request)
        seconds.append(time.perf_counter() - started)
        free.put_nowait(connection)

    began = time.perf_counter()
    async with asyncio.timeout(ANSWER_SECONDS + len(requests) / rate), asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(send(request))
    return seconds


def _body(received: bytearray) -> bytes | None:
    """The body of an answer, once it is complete. Raises RuntimeError for another status than 200."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, body = received[:end].lower(), received[end + 4 :]
    if b"transfer-encoding: chunked" in head:
        if not body.endswith(b"0\r\n\r\n"):
            return None
        body = _dechunked(body)
    elif len(body) < int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]):
        return None
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"{bytes(head[:300])!r} {bytes(body[:500])!r}")
    return bytes(body)


def _dechunked(chunks: bytearray) -> bytearray:
    body = bytearray()
    while (size := int(chunks[: (end := chunks.find(b"\r\n"))], 16)) > 0:
        body += chunks[end + 2 : end + 2 + size]
        chunks = chunks[end + 4 + size :]
    return body
