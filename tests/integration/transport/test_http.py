"""GraphQL over HTTP as clients meet it: through uvicorn, on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.support.toy.http import GRAPHQL, ask, only_code, send
from tests.support.toy.server import Served, served, until


async def test_query_is_answered_with_data_and_its_cost(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "query($n:String!){hello(name:$n)}", variables={"n": "ana"})
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "data": {"hello": "hello ana"},
        "extensions": {"cost": {"requested": 1, "actual": 1, "limit": 50_000}},
    }


async def test_query_can_be_sent_by_get_and_a_mutation_cannot(client: httpx2.AsyncClient) -> None:
    query = {"query": "query($n:String!){hello(name:$n)}", "variables": '{"n":"ana"}'}
    assert (await client.get("/graphql", params=query)).json()["data"] == {"hello": "hello ana"}
    refused = await client.get("/graphql", params={"query": "mutation{add(a:1,b:2)}"}, headers={"accept": GRAPHQL})
    assert (refused.status_code, refused.headers["allow"], only_code(refused)) == (405, "POST", "BAD_REQUEST")


async def test_words_of_a_client_are_a_value_of_the_answer_whatever_they_hold(
    shared_client: httpx2.AsyncClient,
) -> None:
    words = '"}, "errors": [{"message": "no"}], "x": "\\" </script><script>\u2028\x00\r\n'
    response = await ask(shared_client, "query($n:String!){hello(name:$n)}", variables={"n": words})
    assert response.json()["data"] == {"hello": f"hello {words}"}
    assert "errors" not in response.json()


async def test_each_parameter_has_one_source_and_its_last_value_counts(shared_client: httpx2.AsyncClient) -> None:
    read, write = "{hello}", "mutation{add(a:1,b:2)}"
    last = await shared_client.get("/graphql", params=[("query", write), ("query", read)])
    assert last.json()["data"] == {"hello": "hello world"}
    refused = await shared_client.get("/graphql", params=[("query", read), ("query", write)])
    assert refused.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    body = await shared_client.post("/graphql", params={"query": write, "operationName": "x"}, json={"query": read})
    assert body.json()["data"] == {"hello": "hello world"}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_methods_are_not_allowed(shared_client: httpx2.AsyncClient, method: str) -> None:
    response = await shared_client.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"1", b'"x"', b"[]", b"{", b"\xff\xfe", b'{"query":1}', b"[" * 50_000, b'{"a":' * 50_000, b"NaN"],
)
async def test_malformed_body_is_a_well_formed_error(shared_client: httpx2.AsyncClient, body: bytes) -> None:
    response = await send(shared_client, body)
    assert (response.status_code, only_code(response)) == (400, "BAD_REQUEST")
    legacy = await shared_client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert legacy.status_code == 400


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed", "", "application/json; charset=utf-16"],
)
async def test_body_a_foreign_page_could_send_is_refused(shared_client: httpx2.AsyncClient, content_type: str) -> None:
    response = await send(shared_client, b'{"query":"{hello}"}', content_type)
    assert (response.status_code, only_code(response)) == (415, "BAD_REQUEST")


async def test_a_client_that_accepts_no_media_type_of_ours_is_refused(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "{hello}", accept="text/event-stream")
    assert (response.status_code, only_code(response)) == (406, "BAD_REQUEST")


async def test_a_large_body_is_refused_with_and_without_its_length(client: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    announced = await send(client, b" " * (1024 * 1024 + 1))
    assert (announced.status_code, only_code(announced)) == (413, "BAD_REQUEST")
    try:
        response = await client.post("/graphql", content=endless(), headers={"content-type": "application/json"})
    except (httpx2.WriteError, httpx2.ReadError):
        return  # the server hung up while we were still sending
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{nope}", "GRAPHQL_VALIDATION_FAILED"),
        ("query($n:Int!){feed(first:$n){edges{cursor}}}", "BAD_USER_INPUT"),
        ("{" + "hello " * 3_000 + "}", "OPERATION_TOO_COMPLEX"),
    ],
)
async def test_request_error_is_400_or_200_by_media_type(
    shared_client: httpx2.AsyncClient, query: str, code: str
) -> None:
    response = await ask(shared_client, query)
    assert (response.status_code, only_code(response)) == (400, code)
    legacy = await ask(shared_client, query, accept="application/json")
    assert (legacy.status_code, only_code(legacy)) == (200, code)


async def test_a_subscription_over_http_is_refused(client: httpx2.AsyncClient, toy: Served) -> None:
    response = await ask(client, "subscription{count}")
    assert (response.status_code, only_code(response)) == (400, "BAD_REQUEST")
    assert toy.world.contexts == []


async def test_field_errors_are_200_with_codes_and_data(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "{hello missing away}")
    assert response.status_code == 200
    body = response.json()
    assert body["data"] == {"hello": "hello world", "missing": None, "away": None}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT", "UNAVAILABLE"]


async def test_error_that_takes_all_data_with_it_is_still_200(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "{inbox}")
    assert response.status_code == 200
    assert response.json()["data"] is None
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_slow_operation_is_given_up_and_stopped(client: httpx2.AsyncClient, toy: Served) -> None:
    response = await ask(client, "{wait}")
    assert (response.status_code, only_code(response)) == (504, "TIMEOUT")
    assert toy.world.running == 0


async def test_an_anonymous_request_is_refused_before_its_variables_are_checked(client: httpx2.AsyncClient) -> None:
    query = "mutation($pile:Pile!){keepNotes(pile:$pile)}"
    sent: tuple[Any, ...] = ({}, {"pile": {"notes": [{}] * 45_000}}, {"pile": {"notes": [{"text": 1}]}})
    for variables in sent:
        response = await ask(client, query, variables=variables)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["UNAUTHENTICATED"]


async def test_a_far_too_long_list_is_refused_and_a_shorter_one_is_left_to_the_mutation(
    client: httpx2.AsyncClient,
) -> None:
    query = "mutation($pile:Pile!){postNotes(pile:$pile)}"
    refused = await ask(client, query, variables={"pile": {"notes": [{}] * 21}})
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")
    taken = await ask(client, query, variables={"pile": {"notes": [{}] * 20}})
    assert taken.json()["data"] == {"postNotes": 20}


async def test_variables_that_do_not_fit_are_five_errors_at_most(client: httpx2.AsyncClient) -> None:
    notes = [{"text": n} for n in range(20)]
    response = await ask(client, "mutation($pile:Pile!){postNotes(pile:$pile)}", variables={"pile": {"notes": notes}})
    assert response.status_code == 400
    assert len(response.json()["errors"]) == 5


async def test_client_that_leaves_stops_nothing_else(toy: Served, client: httpx2.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    del reader
    assert (await ask(client, "{hello}")).status_code == 200


async def test_request_in_flight_is_finished_before_the_server_stops() -> None:
    async with served() as toy, httpx2.AsyncClient(base_url=toy.url, timeout=10) as client:
        asked = asyncio.create_task(ask(client, "{wait(seconds:0.5)}"))
        await until(lambda: toy.world.running == 1)
        toy.server.should_exit = True
        response = await asked
        assert json.loads(response.content)["data"] == {"wait": "done"}
