"""What a connection may take: the size, number and time of heads, what follows an answer, and how many there are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from domain.limits import PIPELINED_REQUESTS_MAX, REQUEST_HEAD_BYTES_MAX, REQUEST_HEADERS_MAX
from resolvers.transport import connection_limits
from tests.support.raw_sockets import PING, PROTOCOL, handshake
from tests.support.toy.server import Served, served, until

GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
END = b"\r\n"
FIN = 0x80  # of a frame's first byte


@pytest.fixture(scope="module")
async def hasty() -> AsyncIterator[Served]:
    """A server that waits half a second for heads."""
    async with served(head_seconds=0.5) as running:
        yield running


@asynccontextmanager
async def connected(toy: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answers(reader: asyncio.StreamReader, within: float = 5.0) -> list[int]:
    """The statuses of all answers until the server closes."""
    async with asyncio.timeout(within):
        try:
            everything = await reader.read()
        except ConnectionResetError:
            return []
    return [int(line.split()[1]) for line in everything.split(END) if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x: " + b"y" * REQUEST_HEAD_BYTES_MAX + END + END,
        GET + (b"x: " + b"y" * 1_000 + END) * 17 + END,
        GET + b"x: y\r\n" * REQUEST_HEADERS_MAX + END,
        b"GET /livez?" + b"y" * REQUEST_HEAD_BYTES_MAX + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        handshake("cookie: " + "y" * 9_000),
    ],
    ids=["one long header", "many headers", "too many headers", "a long line", "a handshake with a long line"],
)
async def test_a_head_that_is_too_large_is_431(shared: Served, head: bytes) -> None:
    async with connected(shared) as (reader, writer):
        writer.write(head)
        assert await answers(reader) == [431]


async def test_a_large_head_within_the_bound_is_answered(shared: Served) -> None:
    async with connected(shared) as (reader, writer):
        writer.write(GET + b"connection: close\r\nx: " + b"y" * (REQUEST_HEAD_BYTES_MAX - 100) + END + END)
        assert await answers(reader) == [200]


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\ncontent-length: 5",
        b"content-length: 5\r\ncontent-length: 0",
        b"content-length: 5, 0",
        b"content-length: +5",
        b"content-length : 5",
        b"transfer-encoding: chunked, identity",
        b"transfer-encoding: xchunked",
    ],
)
async def test_a_request_whose_end_is_open_to_doubt_is_refused_with_all_that_follows(
    shared: Served, framing: bytes
) -> None:
    async with connected(shared) as (reader, writer):
        writer.write(b"POST /livez HTTP/1.1\r\nhost: x\r\n" + framing + END + END + b"0\r\n\r\n" + GET + END)
        assert set(await answers(reader)) <= {400}  # above all, what follows is not served


@pytest.mark.parametrize(
    ("begun", "endless"),
    [
        (GET + b"x: ", b"y" * 65_536),  # a header that never ends
        (GET + END, b"\r\n" * 32_768),  # lines between requests
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", b"y" * 65_536),  # a trailer
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;", b"y" * 65_536),  # an extension
    ],
    ids=["header", "line ends", "trailer", "chunk extension"],
)
async def test_endless_heads_and_trailers_are_not_read_for_ever(shared: Served, begun: bytes, endless: bytes) -> None:
    async with connected(shared) as (reader, writer):
        writer.write(begun)
        sent = 0
        try:
            async with asyncio.timeout(10):
                while sent < 50 * 2**20 and not reader.at_eof():
                    writer.write(endless)
                    await writer.drain()
                    sent += len(endless)
                    await asyncio.sleep(0)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 10 * 2**20


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"", []),
        (b"GET /livez HT", [408]),
        (GET, [408]),
        (b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n{", [415]),
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{", [405]),
    ],
    ids=["nothing", "half a line", "half a head", "half a body, refused", "half a body, ignored"],
)
async def test_a_request_not_finished_in_time_is_closed(hasty: Served, sent: bytes, statuses: list[int]) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(sent)
        assert await answers(reader) == statuses


async def test_a_slow_dribble_does_not_keep_a_connection(hasty: Served) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(GET)
        dribbling = asyncio.create_task(_dribble(writer))
        assert await answers(reader) in ([408], [])
        dribbling.cancel()


async def _dribble(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"x: y\r\n")
        await asyncio.sleep(0.05)


async def test_a_slow_answer_is_not_the_clients_fault(hasty: Served) -> None:
    async with httpx2.AsyncClient(base_url=hasty.url, timeout=10) as client:
        for _ in range(2):  # the second over the same connection
            answer = await client.post("/graphql", json={"query": "{wait(seconds:0.9)}"})
            assert answer.json()["data"] == {"wait": "done"}


async def test_requests_in_line_are_bounded(shared: Served) -> None:
    body = b'{"query":"{wait(seconds:0.2)}"}'
    ask = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    async with connected(shared) as (reader, writer):
        writer.write((ask + body) * 3)
        async with asyncio.timeout(10):
            for _ in range(3):
                assert (await reader.readuntil(b'"done"')).startswith((b"HTTP/1.1 200", b"}"))
    async with connected(shared) as (reader, writer):
        writer.write((ask + body) * (PIPELINED_REQUESTS_MAX + 3))
        assert 200 not in await answers(reader)


async def test_connections_are_bounded_but_for_probes() -> None:
    async with served(max_connections=3) as toy:
        async with connected(toy), connected(toy), connected(toy):
            await until(lambda: len(toy.server.server_state.connections) == 3)
            async with httpx2.AsyncClient(base_url=toy.url, timeout=10) as client:
                refused = await client.post("/graphql", json={"query": "{hello}"})
                assert (refused.status_code, refused.headers["connection"]) == (503, "close")
                assert (await client.get("/livez")).status_code == 200
            async with connected(toy) as (reader, writer):
                writer.write(handshake())
                assert await answers(reader) == [503]
        await until(lambda: not toy.server.server_state.connections)
        async with httpx2.AsyncClient(base_url=toy.url, timeout=10) as client:
            assert (await client.post("/graphql", json={"query": "{hello}"})).status_code == 200


async def test_connections_beyond_those_for_probes_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "SPARE", 1)
    async with served(max_connections=1) as toy, connected(toy), connected(toy):
        await until(lambda: len(toy.server.server_state.connections) == 2)
        async with connected(toy) as (reader, writer):
            writer.write(GET + END)
            assert await answers(reader) == []


async def test_an_open_socket_is_pinged_and_closed_if_its_client_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limits, "PING_SECONDS", 0.1)
    monkeypatch.setattr(connection_limits, "PONG_SECONDS", 2.0)
    async with (
        served(init_timeout=60) as toy,
        connect(toy.socket_url, subprotocols=[Subprotocol(PROTOCOL)]) as answering,
        connected(toy) as (reader, writer),
    ):
        writer.write(handshake())
        async with asyncio.timeout(20):
            received = await reader.read()
        assert received.count(bytes([FIN | PING, 4])) == 1
        assert received.endswith(b"\x03\xf3keepalive ping timeout")  # 1011
        await until(lambda: len(toy.server.server_state.connections) == 1)
        await answering.send("{}")
        with pytest.raises(ConnectionClosed) as closed:
            await answering.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400  # by the application, so it was open
