"""graphql-transport-ws as clients meet it: a real client, uvicorn, loopback."""

from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from domain.limits import SOCKET_OPERATIONS_MAX
from tests.support.raw_sockets import RawSocket
from tests.support.toy.server import Served, until
from tests.support.toy.sockets import ACK, connected


async def test_subscription_streams_and_completes(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.subscribe("subscription C($to:Int!){count(to:$to)}", variables={"to": 2})
        assert [await client.hear() for _ in range(3)] == [
            {"id": "1", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "1", "type": "next", "payload": {"data": {"count": 2}}},
            {"id": "1", "type": "complete"},
        ]
        await client.subscribe("subscription{count(to:1)}")  # the id is free again
        assert (await client.hear())["type"] == "next"


async def test_queries_and_mutations_are_answered_too(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
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


async def test_revoked_session_loses_its_socket_and_its_generators(socket_toy: Served) -> None:
    async with connected(socket_toy) as client, connected(socket_toy) as anonymous:
        await client.start({"authorization": "Bearer ana"})
        await anonymous.start()
        await client.subscribe("subscription{forever}")
        await client.hear()
        socket_toy.world.revoke()
        assert await client.closed() == (4403, "Forbidden")
        await until(lambda: socket_toy.world.finished == 1)
        await until(lambda: not socket_toy.world.watches)
        await anonymous.subscribe("{hello}")
        assert (await anonymous.hear())["type"] == "next"


@pytest.mark.parametrize("rest", [{}, {"variables": None, "operationName": None, "extensions": None}])
async def test_null_members_count_as_absent(shared: Served, rest: dict[str, Any]) -> None:
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


async def test_fault_in_a_subscription_ends_it_masked(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        with capture_logs():
            await client.subscribe("subscription{breaks}")
            assert (await client.hear())["type"] == "next"
            answer = await client.hear()
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "private" not in str(answer)


async def test_each_event_has_a_context_of_its_own(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.subscribe("subscription{count(to:3)}")
        for _ in range(4):
            await client.hear()
    assert len({id(context) for context in socket_toy.world.contexts}) == len(socket_toy.world.contexts) == 4


async def test_complete_closes_the_generator_and_frees_the_id(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.subscribe("subscription{forever}")
        await client.hear()
        await client.say({"id": "1", "type": "complete"})
        await client.subscribe("subscription{count(to:1)}")
        assert (await client.hear())["payload"] == {"data": {"count": 1}}
        assert await client.hear() == {"id": "1", "type": "complete"}
        await until(lambda: socket_toy.world.finished == 2)
        assert socket_toy.world.running == 0


async def test_complete_stops_a_query_and_complete_for_nothing_is_harmless(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.say({"id": "none", "type": "complete"})
        await client.subscribe("{wait}")
        await until(lambda: socket_toy.world.running == 1)
        await client.say({"id": "1", "type": "complete"})
        await until(lambda: socket_toy.world.running == 0)


@pytest.mark.parametrize("rudely", [False, True])
async def test_client_that_leaves_takes_its_generators_with_it(socket_toy: Served, rudely: bool) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        for n in range(5):
            await client.subscribe("subscription{forever}", str(n))
        await until(lambda: socket_toy.world.running == 5)
        if rudely:
            client.connection.transport.abort()
    await until(lambda: socket_toy.world.finished == 5)
    await until(lambda: not socket_toy.app.state.drain._closers)


async def test_ping_is_echoed_with_its_payload_and_pong_is_taken(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start()
        await client.say({"type": "pong"})
        await client.say({"type": "ping", "payload": {"n": [1, "é"]}})
        assert await client.hear() == {"type": "pong", "payload": {"n": [1, "é"]}}


async def test_operations_on_one_socket_are_bounded(socket_toy: Served) -> None:
    async with connected(socket_toy) as client:
        await client.start({"accessToken": "ana"})
        for n in range(SOCKET_OPERATIONS_MAX):
            await client.subscribe("subscription{forever}", str(n))
            assert (await client.hear())["type"] == "next"
        await client.subscribe("subscription{forever}", "over")
        answer = await client.hear()
        assert (answer["id"], answer["type"]) == ("over", "error")
        await client.say({"id": "0", "type": "complete"})
        await until(lambda: socket_toy.world.finished == 1)
        await client.subscribe("subscription{forever}", "now")
        assert (await client.hear())["type"] == "next"


async def test_the_log_has_sockets_and_operations_without_secrets(socket_toy: Served) -> None:
    with capture_logs() as logs:
        async with connected(socket_toy, additional_headers={"x-request-id": "socket-0001"}) as client:
            await client.start({"accessToken": "hunter2-token"})
            await client.subscribe('query Greet{hello(name:"hunter2-literal") missing}')
            await client.hear()
            await client.hear()
        await until(lambda: len(logs) >= 3)
    opened, operation, closed = logs
    assert (opened["event"], operation["event"], closed["event"]) == ("socket opened", "operation", "socket closed")
    assert (operation["operation"], operation["operation_type"]) == ("Greet", "query")
    assert operation["codes"] == ["BAD_USER_INPUT"]
    assert operation["request_id"] == socket_toy.world.contexts[0].request_id == "socket-0001-1"
    assert (closed["operations"], closed["code"]) == (1, 1000)
    assert "hunter2" not in str(logs)


LOG = "subscription($text:String){log{number echo(text:$text)}}"


async def test_sockets_of_one_account_are_sent_one_answer_under_their_own_ids(socket_toy: Served) -> None:
    async with connected(socket_toy) as first, connected(socket_toy) as second:
        for client, id_ in ((first, "1"), (second, 'é"')):
            await client.start({"accessToken": "ana"})
            await client.subscribe(LOG, id_, variables={"text": "ü"})
        await until(lambda: socket_toy.world.log.reads == 2)
        socket_toy.world.log.add(1)
        for client, id_ in ((first, "1"), (second, 'é"')):
            payload = {"data": {"log": {"number": 1, "echo": "anaü"}}}
            assert await client.hear() == {"id": id_, "type": "next", "payload": payload}
        assert socket_toy.world.executed == [("ana", 1)]
        await second.say({"id": 'é"', "type": "complete"})
        await second.subscribe("{hello}", 'é"')
        assert (await second.hear())["payload"]["data"] == {"hello": "hello world"}
        socket_toy.world.log.add(2)
        assert (await first.hear())["payload"]["data"]["log"]["number"] == 2
        assert (await second.hear())["type"] == "complete"


async def test_a_revoked_session_is_sent_nothing_more_and_the_others_of_its_account_all(socket_toy: Served) -> None:
    async with connected(socket_toy) as first, connected(socket_toy) as second:
        for number, client in enumerate((first, second), 1):
            await client.start({"accessToken": "ana"})
            await client.subscribe(LOG)
            await until(lambda number=number: socket_toy.world.log.reads == number)
            if client is first:
                (watch,) = socket_toy.world.watches
        watch.ended()
        socket_toy.world.log.add(1)
        assert (await second.hear())["payload"]["data"]["log"]["number"] == 1
        with pytest.raises(ConnectionClosed):
            await first.connection.recv()
        assert await first.closed() == (4403, "Forbidden")


async def test_a_client_that_does_not_read_is_closed_and_the_others_get_everything(socket_toy: Served) -> None:
    text = {"text": "x" * 50_000}
    unread = await RawSocket.opened(socket_toy.port, "ana")
    async with connected(socket_toy) as client:
        unread.say({"id": "1", "type": "subscribe", "payload": {"query": LOG, "variables": text}})
        await client.start({"accessToken": "ana"})
        await client.subscribe(LOG, variables=text)
        await until(lambda: socket_toy.world.log.reads == 2)
        for number in range(1, 401):
            socket_toy.world.log.add(number)
            assert (await client.hear())["payload"]["data"]["log"]["number"] == number
        await until(lambda: len(socket_toy.world.watches) == 1)
    unread.abort()
