"""graphql-transport-ws as clients meet it: a real client, uvicorn, loopback."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from domain.limits import SOCKET_OPERATIONS_MAX
from tests.support.raw_sockets import frame, handshake
from tests.support.toy.server import Served, served, until
from tests.support.toy.sockets import ACK, PROTOCOL, connected


@pytest.fixture
async def toy() -> AsyncIterator[Served]:
    async with served(init_timeout=0.4, send_timeout=0.3) as running:
        yield running


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Served]:
    """One server for tests that leave nothing behind."""
    async with served() as running:
        yield running


async def test_subscription_streams_and_completes(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.subscribe("subscription C($to:Int!){count(to:$to)}", variables={"to": 2})
        assert [await client.hear() for _ in range(3)] == [
            {"id": "1", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "1", "type": "next", "payload": {"data": {"count": 2}}},
            {"id": "1", "type": "complete"},
        ]
        await client.subscribe("subscription{count(to:1)}")  # the id is free again
        assert (await client.hear())["type"] == "next"


async def test_queries_and_mutations_are_answered_too(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start({"authorization": "Bearer ana"})
        await client.subscribe("{viewer}", "q")
        answer = await client.hear()
        assert (answer["id"], answer["type"], answer["payload"]["data"]) == ("q", "next", {"viewer": "ana"})
        assert await client.hear() == {"id": "q", "type": "complete"}
        await client.subscribe("mutation{add(a:1,b:2)}", "m")
        assert (await client.hear())["payload"]["data"] == {"add": 3}


@pytest.mark.parametrize("key", ["authorization", "Authorization", "AUTHORIZATION", "accessToken"])
async def test_token_is_taken_from_the_init_payload(shared: Served, key: str) -> None:
    async with connected(shared) as client:
        await client.start({key: "ana" if key == "accessToken" else "Bearer ana"})
        await client.subscribe("{viewer}")
        assert (await client.hear())["payload"]["data"] == {"viewer": "ana"}


@pytest.mark.parametrize("payload", [None, {}, {"authorization": ""}, {"authorization": None}])
async def test_socket_without_a_token_is_anonymous(shared: Served, payload: dict[str, Any] | None) -> None:
    async with connected(shared) as client:
        await client.say({"type": "connection_init", "payload": payload})
        assert await client.hear() == ACK
        await client.subscribe("{viewer inbox}")
        answer = (await client.hear())["payload"]
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("payload", [{"authorization": "Bearer bad"}, {"accessToken": "bad"}])
async def test_bad_token_closes_the_socket(shared: Served, payload: dict[str, Any]) -> None:
    async with connected(shared) as client:
        await client.say({"type": "connection_init", "payload": payload})
        assert await client.closed() == (4403, "Forbidden")


async def test_revoked_session_loses_its_socket_and_its_generators(toy: Served) -> None:
    async with connected(toy) as client, connected(toy) as anonymous:
        await client.start({"authorization": "Bearer ana"})
        await anonymous.start()
        await client.subscribe("subscription{forever}")
        await client.hear()
        toy.world.revoke()
        assert await client.closed() == (4403, "Forbidden")
        await until(lambda: toy.world.finished == 1)
        await until(lambda: not toy.world.watches)
        await anonymous.subscribe("{hello}")
        assert (await anonymous.hear())["type"] == "next"


async def test_outage_while_authenticating_asks_to_come_back(toy: Served) -> None:
    toy.world.authentication_down = True
    async with connected(toy) as client:
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
async def test_garbage_closes_4400_and_never_without_aframe(shared: Served, garbage: str | bytes) -> None:
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


@pytest.mark.parametrize("rest", [{}, {"variables": None, "operationName": None, "extensions": None}])
async def test_nulls_are_as_good_as_nothing(shared: Served, rest: dict[str, Any]) -> None:
    async with connected(shared) as client:
        await client.start()
        await client.subscribe("{hello}", **rest)
        assert (await client.hear())["type"] == "next"


async def test_an_empty_query_is_an_error_for_its_id(shared: Served) -> None:
    async with connected(shared) as client:
        await client.start()
        await client.subscribe("")
        answer = await client.hear()
        assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", "BAD_REQUEST")


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
    async with served(origins=("https://app.example",)) as toy:
        given = {name: value.format(own=toy.url) for name, value in headers.items()}
        reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
        host = f"host: 127.0.0.1:{toy.port}"
        asked = handshake(*(f"{name}: {value}" for name, value in given.items())).replace(b"host: x", host.encode())
        writer.write(asked)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert int(answer.split()[1]) == status
        writer.close()


async def test_sockets_are_bounded_and_a_closed_one_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    async with served(max_sockets=2) as toy:
        async with connected(toy) as first, connected(toy):
            await first.start()
            with pytest.raises(InvalidStatus) as refused:
                await connect(toy.socket_url, subprotocols=[PROTOCOL])
            assert refused.value.response.status_code == 503
        await until(lambda: not toy.app.state.drain._closers)
        async with connected(toy) as again:
            await again.start()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription{nope}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription($to:Int!){count(to:$to)}", "BAD_USER_INPUT"),
        ("query($n:Int!){feed(first:$n){edges{cursor}}}", "BAD_USER_INPUT"),
        ("{" + "hello " * 2_000 + "}", "OPERATION_TOO_COMPLEX"),
        ("subscription{private}", "UNAUTHENTICATED"),
    ],
)
async def test_refused_operation_is_an_error_for_its_id(shared: Served, query: str, code: str) -> None:
    async with connected(shared) as client:
        await client.start()
        await client.subscribe(query, "7")
        answer = await client.hear()
        assert (answer["id"], answer["type"], answer["payload"][0]["extensions"]["code"]) == ("7", "error", code)
        await client.subscribe("{hello}", "7")
        assert (await client.hear())["type"] == "next"


async def test_fault_in_a_subscription_ends_it_masked(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        with capture_logs():
            await client.subscribe("subscription{breaks}")
            assert (await client.hear())["type"] == "next"
            answer = await client.hear()
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "private" not in str(answer)


async def test_each_event_has_a_context_of_its_own(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.subscribe("subscription{count(to:3)}")
        for _ in range(4):
            await client.hear()
    assert len({id(context) for context in toy.world.contexts}) == len(toy.world.contexts) == 4


async def test_complete_closes_the_generator_and_frees_the_id(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.subscribe("subscription{forever}")
        await client.hear()
        await client.say({"id": "1", "type": "complete"})
        await client.subscribe("subscription{count(to:1)}")
        assert (await client.hear())["payload"] == {"data": {"count": 1}}
        assert await client.hear() == {"id": "1", "type": "complete"}
        await until(lambda: toy.world.finished == 2)
        assert toy.world.running == 0


async def test_complete_stops_a_query_and_complete_for_nothing_is_harmless(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.say({"id": "none", "type": "complete"})
        await client.subscribe("{wait}")
        await until(lambda: toy.world.running == 1)
        await client.say({"id": "1", "type": "complete"})
        await until(lambda: toy.world.running == 0)


@pytest.mark.parametrize("rudely", [False, True])
async def test_client_that_leaves_takes_its_generators_with_it(toy: Served, rudely: bool) -> None:
    async with connected(toy) as client:
        await client.start()
        for n in range(5):
            await client.subscribe("subscription{forever}", str(n))
        await until(lambda: toy.world.running == 5)
        if rudely:
            client.connection.transport.abort()
    await until(lambda: toy.world.finished == 5)
    await until(lambda: not toy.app.state.drain._closers)


async def test_duplicate_id_closes_4409(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.subscribe("subscription{forever}", "é" * 100)
        await client.subscribe("subscription{forever}", "é" * 100)
        code, reason = await client.closed()
        assert (code, reason[:16]) == (4409, "Subscriber for é")
    await until(lambda: toy.world.running == 0)


async def test_subscribe_before_init_closes_4401(toy: Served) -> None:
    async with connected(toy) as client:
        await client.subscribe("{hello}")
        assert await client.closed() == (4401, "Unauthorized")


async def test_second_init_closes_4429(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.say({"type": "connection_init"})
        assert await client.closed() == (4429, "Too many initialisation requests")


async def test_no_init_in_time_closes_4408_whatever_else_is_said(toy: Served) -> None:
    async with connected(toy) as client:
        await client.say({"type": "ping"})
        assert await client.hear() == {"type": "pong"}
        assert await client.closed() == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize("offered", [None, [Subprotocol("graphql-ws")]])
async def test_other_subprotocol_closes_4406(shared: Served, offered: list[Subprotocol] | None) -> None:
    async with connected(shared, subprotocols=offered) as client:
        assert await client.closed() == (4406, "Subprotocol not acceptable")


async def test_ping_is_echoed_with_its_payload_and_pong_is_taken(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start()
        await client.say({"type": "pong"})
        await client.say({"type": "ping", "payload": {"n": [1, "é"]}})
        assert await client.hear() == {"type": "pong", "payload": {"n": [1, "é"]}}


@pytest.mark.parametrize("fragmented", [False, True])
async def test_huge_message_closes_1009(toy: Served, fragmented: bool) -> None:
    async with connected(toy) as client:
        await client.start()
        text = json.dumps({"type": "ping", "payload": {"x": "y" * 70_000}})
        await client.connection.send([text[:40_000], text[40_000:]] if fragmented else text)
        assert (await client.closed())[0] == 1009


async def test_operations_on_one_socket_are_bounded(toy: Served) -> None:
    async with connected(toy) as client:
        await client.start({"accessToken": "ana"})
        for n in range(SOCKET_OPERATIONS_MAX):
            await client.subscribe("subscription{forever}", str(n))
            assert (await client.hear())["type"] == "next"
        await client.subscribe("subscription{forever}", "over")
        answer = await client.hear()
        assert (answer["id"], answer["type"]) == ("over", "error")
        await client.say({"id": "0", "type": "complete"})
        await until(lambda: toy.world.finished == 1)
        await client.subscribe("subscription{forever}", "now")
        assert (await client.hear())["type"] == "next"


async def test_client_that_does_not_read_loses_its_socket(toy: Served) -> None:
    """Over a bare socket with a small buffer: a websocket library would read in the background."""
    raw = socket.create_connection(("127.0.0.1", toy.port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    loop = asyncio.get_running_loop()
    raw.setblocking(False)
    with raw:
        await loop.sock_sendall(raw, handshake())
        assert (await loop.sock_recv(raw, 1_000)).startswith(b"HTTP/1.1 101")
        await loop.sock_sendall(raw, frame({"type": "connection_init"}))
        flood = {"query": "subscription{flood}"}
        await loop.sock_sendall(raw, frame({"id": "1", "type": "subscribe", "payload": flood}))
        await until(lambda: toy.world.running == 1)
        await until(lambda: toy.world.finished == 1)
        await until(lambda: not toy.app.state.drain._closers)


async def test_log_tells_of_sockets_and_operations_without_secrets(toy: Served) -> None:
    with capture_logs() as logs:
        async with connected(toy, additional_headers={"x-request-id": "socket-0001"}) as client:
            await client.start({"accessToken": "hunter2-token"})
            await client.subscribe('query Greet{hello(name:"hunter2-literal") missing}')
            await client.hear()
            await client.hear()
        await until(lambda: len(logs) >= 3)
    opened, operation, closed = logs
    assert (opened["event"], operation["event"], closed["event"]) == ("socket opened", "operation", "socket closed")
    assert (operation["operation"], operation["operation_type"]) == ("Greet", "query")
    assert operation["codes"] == ["BAD_USER_INPUT"]
    assert operation["request_id"] == toy.world.contexts[0].request_id == "socket-0001-1"
    assert (closed["operations"], closed["code"]) == (1, 1000)
    assert "hunter2" not in str(logs)
