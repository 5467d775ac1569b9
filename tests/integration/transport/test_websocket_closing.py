"""Sockets that are refused or closed, each with its code."""

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.support.raw_sockets import frame, handshake
from tests.support.toy.server import Served, served, until
from tests.support.toy.sockets import PROTOCOL, connected


@pytest.mark.parametrize("payload", [{"authorization": "Bearer bad"}, {"accessToken": "bad"}])
async def test_bad_token_closes_the_socket(shared: Served, payload: dict[str, Any]) -> None:
    async with connected(shared) as client:
        await client.say({"type": "connection_init", "payload": payload})
        assert await client.closed() == (4403, "Forbidden")


async def test_an_outage_while_authenticating_closes_1013(socket_toy: Served) -> None:
    socket_toy.world.authentication_down = True
    async with connected(socket_toy) as client:
        await client.say({"type": "connection_init"})
        assert await client.closed() == (1013, "Try again later")


GARBAGE = [
    "null", "1", '"x"', "[]", "{}", "{", "", "true", '{"type":1}', '{"type":"nonsense"}', '{"type":null}', b"\x00\x01",
    "[" * 30_000, '{"type":"connection_init","payload":"x"}', '{"type":"connection_init","payload":[]}',
    '{"type":"ping","payload":1}',
    '{"type":"subscribe"}', '{"type":"subscribe","id":1}', '{"type":"subscribe","id":[]}',
    '{"type":"subscribe","id":""}', '{"type":"complete"}', '{"type":"complete","id":{}}', '{"type":"connection_ack"}',
    '{"type":"' + "x" * 1_000 + '"}', '{"id":"' + "é" * 200 + '","type":"subscribe"}',
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_closes_4400_with_a_reason(shared: Served, garbage: str | bytes) -> None:
    async with connected(shared) as client:
        await client.say(garbage)
        code, reason = await client.closed()
        assert code == 4400
        assert 0 < len(reason.encode()) <= 123


MALFORMED = [
    "x", 1, True, [], {}, {"query": None}, {"query": 1}, {"query": ["{hello}"]}, {"variables": {}},
    {"query": "{hello}", "variables": "x"}, {"query": "{hello}", "variables": [1]},
    {"query": "{hello}", "operationName": 1}, {"query": "{hello}", "operationName": {}},
    {"query": "{hello}", "extensions": []}, {"query": "{hello}", "extensions": "x"},
]  # fmt: skip


@pytest.mark.parametrize("payload", [None, *MALFORMED])
async def test_malformed_subscribe_payload_closes_4400(shared: Served, payload: object) -> None:
    async with connected(shared) as client:
        await client.start()
        await client.say({"id": "1", "type": "subscribe", "payload": payload})
        assert (await client.closed())[0] == 4400


async def test_subscribe_without_a_payload_closes_4400_even_before_the_acknowledgement(shared: Served) -> None:
    async with connected(shared) as client:
        await client.say({"id": "1", "type": "subscribe"})
        assert (await client.closed())[0] == 4400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),  # a phone
        ({"origin": "{own}"}, 101),
        ({"origin": "https://app.example"}, 101),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://app.example.evil.example"}, 403),
        ({"origin": "http://localhost:1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "https://api.example", "x-forwarded-host": "api.example"}, 101),  # a proxy that changes `Host`
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_foreign_pages_open_no_socket(headers: dict[str, str], status: int) -> None:
    async with served(origins=("https://app.example",)) as socket_toy:
        given = {name: value.format(own=socket_toy.url) for name, value in headers.items()}
        reader, writer = await asyncio.open_connection("127.0.0.1", socket_toy.port)
        host = f"host: 127.0.0.1:{socket_toy.port}"
        asked = handshake(*(f"{name}: {value}" for name, value in given.items())).replace(b"host: x", host.encode())
        writer.write(asked)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        assert int(answer.split()[1]) == status
        writer.close()


async def test_sockets_are_bounded_and_a_closed_one_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    async with served(max_sockets=2) as socket_toy:
        async with connected(socket_toy) as first, connected(socket_toy):
            await first.start()
            with pytest.raises(InvalidStatus) as refused:
                await connect(socket_toy.socket_url, subprotocols=[PROTOCOL])
            assert refused.value.response.status_code == 503
        await until(lambda: not socket_toy.app.state.drain._closers)
        async with connected(socket_toy) as again:
            await again.start()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_duplicate_id_closes_4409(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.subscribe("subscription{forever}", "é" * 100)
        await client.subscribe("subscription{forever}", "é" * 100)
        code, reason = await client.closed()
        assert (code, reason[:16]) == (4409, "Subscriber for é")
    await until(lambda: socket_toy.world.running == 0)


async def test_subscribe_before_init_closes_4401(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.subscribe("{hello}")
        assert await client.closed() == (4401, "Unauthorized")


async def test_second_init_closes_4429(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.say({"type": "connection_init"})
        assert await client.closed() == (4429, "Too many initialisation requests")


async def test_no_init_in_time_closes_4408_whatever_else_is_said(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}
        assert await client.closed() == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize("offered", [None, [Subprotocol("graphql-ws")]])
async def test_other_subprotocol_closes_4406(shared: Served, offered: list[Subprotocol] | None) -> None:
    async with connected(shared, subprotocols=offered) as client:
        assert await client.closed() == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize("fragmented", [False, True])
async def test_huge_message_closes_1009(socket_toy: Served, fragmented: bool) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        text = json.dumps({"type": "ping", "payload": {"x": "y" * 70_000}})
        await client.connection.send([text[:40_000], text[40_000:]] if fragmented else text)
        assert (await client.closed())[0] == 1009


async def test_client_that_does_not_read_loses_its_socket(socket_toy: Served) -> None:
    """Over a bare socket with a small buffer: a websocket library would read in the background."""
    raw = socket.create_connection(("127.0.0.1", socket_toy.port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    loop = asyncio.get_running_loop()
    raw.setblocking(False)
    with raw:
        await loop.sock_sendall(raw, handshake())
        assert (await loop.sock_recv(raw, 1_000)).startswith(b"HTTP/1.1 101")
        await loop.sock_sendall(raw, frame({"type": "connection_init"}))
        flood = {"query": "subscription{flood}"}
        await loop.sock_sendall(raw, frame({"id": "1", "type": "subscribe", "payload": flood}))
        await until(lambda: socket_toy.world.running == 1)
        await until(lambda: socket_toy.world.finished == 1)
        await until(lambda: not socket_toy.app.state.drain._closers)
