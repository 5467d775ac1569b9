"""JSON that is not quite well formed, as some clients send it: over HTTP, in a form, over a socket."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.toy.http import FORM_HEADERS, GRAPHQL, MEASURE, form, send
from tests.support.toy.server import Served
from tests.support.toy.sockets import connected

HELLO = "query($n:String!){hello(name:$n)}"
HALF = r'{"n":"hi \ud83d"}'  # an emoji that was cut in two
REQUEST = f'{{"query":"{HELLO}","variables":{HALF}}}'
ONLY_HASH = {"variables": {"n": "ana"}, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}


@pytest.fixture(scope="module")
async def client(shared: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=shared.url, timeout=10, headers={"accept": GRAPHQL}) as opened:
        yield opened


async def test_half_an_emoji_is_dropped(client: httpx2.AsyncClient) -> None:
    posted = await send(client, REQUEST.encode())
    got = await client.get("/graphql", params={"query": HELLO, "variables": HALF})
    assert posted.json()["data"] == got.json()["data"] == {"hello": "hello hi "}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
async def test_a_form_may_have_half_an_emoji_and_a_mark(client: httpx2.AsyncClient, mark: bytes) -> None:
    operations = mark + rf'{{"query":"{MEASURE}","variables":{{"file":null,"note":"hi \ud83d"}}}}'.encode()
    body = form([("operations", operations), ("map", mark + b'{"0":["variables.file"]}'), ("0", b"GIF89a")])
    response = await client.post("/graphql", content=body, headers=FORM_HEADERS)
    assert response.json()["data"] == {"measure": "6 bytes"}


async def test_a_socket_takes_half_an_emoji_and_a_mark(shared: Served) -> None:
    async with connected(shared) as socket:
        await socket.start()
        await socket.say(f'\ufeff{{"id":"1","type":"subscribe","payload":{REQUEST}}}')
        assert (await socket.hear())["payload"]["data"] == {"hello": "hello hi "}


async def test_a_body_may_begin_with_a_byte_order_mark(client: httpx2.AsyncClient) -> None:
    response = await send(client, b"\xef\xbb\xbf" + b'{"query":"{hello}"}')
    assert response.json()["data"] == {"hello": "hello world"}
    assert (await send(client, b"\xef\xbb\xbf")).status_code == 400


@pytest.mark.parametrize("accept", [GRAPHQL, "application/json", "*/*"])
async def test_a_request_with_only_a_hash_is_told_to_send_the_document(client: httpx2.AsyncClient, accept: str) -> None:
    headers = {"accept": accept}
    posted = await client.post("/graphql", json=ONLY_HASH, headers=headers)
    asked = {name: json.dumps(value) for name, value in ONLY_HASH.items()}
    got = await client.get("/graphql", params=asked, headers=headers)
    for response in (posted, got):
        assert response.status_code == 200
        [error] = response.json()["errors"]
        assert error["message"] == "PersistedQueryNotSupported"
        assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
        assert "data" not in response.json()
        assert response.headers["cache-control"] == "no-store"
    again = await client.post("/graphql", json={**ONLY_HASH, "query": HELLO}, headers=headers)
    assert again.json()["data"] == {"hello": "hello ana"}


@pytest.mark.parametrize("extensions", [{}, {"persistedQuery": None}, {"persistedQuery": "x"}, {"other": {}}])
async def test_a_request_without_a_document_or_a_hash_is_a_bad_request(
    client: httpx2.AsyncClient, extensions: dict[str, object]
) -> None:
    response = await client.post("/graphql", json={"extensions": extensions})
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_a_socket_refuses_an_operation_with_only_a_hash_and_stays_open(shared: Served) -> None:
    async with connected(shared) as socket:
        await socket.start()
        await socket.say({"id": "1", "type": "subscribe", "payload": ONLY_HASH})
        refused = await socket.hear()
        assert (refused["id"], refused["type"]) == ("1", "error")
        assert refused["payload"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
        await socket.subscribe(HELLO, "1", variables={"n": "ana"})
        assert (await socket.hear())["payload"]["data"] == {"hello": "hello ana"}
