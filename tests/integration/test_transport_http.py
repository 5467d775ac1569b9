"""GraphQL over HTTP as clients meet it: through uvicorn, on loopback."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from resolvers.transport import health
from tests.support.toy.http import GRAPHQL, ask, send
from tests.support.toy.server import Served, served, until


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of one server for tests that leave nothing behind."""
    async with served() as running, httpx2.AsyncClient(base_url=running.url, timeout=10) as each:
        yield each


@pytest.fixture
async def toy() -> AsyncIterator[Served]:
    async with served(operation_timeout=0.3, origins=("https://app.example",)) as running:
        yield running


@pytest.fixture
async def client(toy: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=toy.url, timeout=10) as each:
        yield each


def only_code(response: httpx2.Response) -> str:
    body = response.json()
    assert "data" not in body
    [code] = {error["extensions"]["code"] for error in body["errors"]}
    return str(code)


async def test_query_is_answered_with_data_and_its_cost(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "query($n:String!){hello(name:$n)}", variables={"n": "ana"})
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "data": {"hello": "hello ana"},
        "extensions": {"cost": {"requested": 1, "limit": 50_000}},
    }


async def test_query_can_be_sent_by_get_and_a_mutation_cannot(client: httpx2.AsyncClient) -> None:
    query = {"query": "query($n:String!){hello(name:$n)}", "variables": '{"n":"ana"}'}
    assert (await client.get("/graphql", params=query)).json()["data"] == {"hello": "hello ana"}
    refused = await client.get("/graphql", params={"query": "mutation{add(a:1,b:2)}"}, headers={"accept": GRAPHQL})
    assert (refused.status_code, refused.headers["allow"], only_code(refused)) == (405, "POST", "BAD_REQUEST")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(shared: httpx2.AsyncClient, method: str) -> None:
    response = await shared.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"1", b'"x"', b"[]", b"{", b"\xff\xfe", b'{"query":1}', b"[" * 50_000, b'{"a":' * 50_000, b"NaN"],
)
async def test_malformed_body_is_a_well_formed_error(shared: httpx2.AsyncClient, body: bytes) -> None:
    response = await send(shared, body)
    assert (response.status_code, only_code(response)) == (400, "BAD_REQUEST")
    legacy = await shared.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert legacy.status_code == 400


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed", "", "application/json; charset=utf-16"],
)
async def test_body_a_foreign_page_could_send_is_refused(shared: httpx2.AsyncClient, content_type: str) -> None:
    response = await send(shared, b'{"query":"{hello}"}', content_type)
    assert (response.status_code, only_code(response)) == (415, "BAD_REQUEST")


async def test_client_that_takes_neither_of_our_types_is_told_so(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "{hello}", accept="text/event-stream")
    assert (response.status_code, only_code(response)) == (406, "BAD_REQUEST")


async def test_large_body_is_refused_announced_or_not(client: httpx2.AsyncClient) -> None:
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
async def test_request_error_is_400_or_200_by_media_type(shared: httpx2.AsyncClient, query: str, code: str) -> None:
    response = await ask(shared, query)
    assert (response.status_code, only_code(response)) == (400, code)
    legacy = await ask(shared, query, accept="application/json")
    assert (legacy.status_code, only_code(legacy)) == (200, code)


async def test_subscription_is_sent_to_the_socket(client: httpx2.AsyncClient, toy: Served) -> None:
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


async def test_stranger_is_refused_before_the_variables_are_looked_at(client: httpx2.AsyncClient) -> None:
    query = "mutation($pile:Pile!){keepNotes(pile:$pile)}"
    sent: tuple[Any, ...] = ({}, {"pile": {"notes": [{}] * 45_000}}, {"pile": {"notes": [{"text": 1}]}})
    for variables in sent:
        response = await ask(client, query, variables=variables)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["UNAUTHENTICATED"]


async def test_endless_list_is_refused_and_a_long_one_left_to_who_takes_it(client: httpx2.AsyncClient) -> None:
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


async def test_token_makes_the_viewer_and_none_is_anonymous(client: httpx2.AsyncClient) -> None:
    for header, viewer in (("Bearer ana", "ana"), ("Bearer", None), ("Basic YTpi", None)):
        response = await client.post("/graphql", json={"query": "{viewer}"}, headers={"authorization": header})
        assert response.json()["data"] == {"viewer": viewer}


@pytest.mark.parametrize("query", ["{viewer}", "{hello}", "{__typename}", "mutation{enter add(a:1,b:2)}"])
async def test_a_bad_token_is_unauthenticated_and_nothing_is_run(
    client: httpx2.AsyncClient, toy: Served, query: str
) -> None:
    bad = {"authorization": "Bearer bad"}
    response = await client.post("/graphql", json={"query": query}, headers={**bad, "accept": GRAPHQL})
    assert (response.status_code, only_code(response)) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    response = await client.post("/graphql", json={"query": query}, headers=bad)
    assert (response.status_code, response.json()["data"]) == (200, None)
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    if not query.startswith("mutation"):
        response = await client.get("/graphql", params={"query": query}, headers={**bad, "accept": GRAPHQL})
        assert (response.status_code, only_code(response)) == (401, "UNAUTHENTICATED")


async def test_a_bad_token_does_not_hinder_what_needs_no_session(client: httpx2.AsyncClient) -> None:
    headers = {"authorization": "Bearer bad", "accept": GRAPHQL}
    response = await client.post("/graphql", json={"query": "mutation{enter}"}, headers=headers)
    assert (response.status_code, response.json()["data"]) == (200, {"enter": None})


async def test_outage_while_authenticating_is_503(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.world.authentication_down = True
    response = await ask(client, "{hello}")
    assert (response.status_code, only_code(response)) == (503, "UNAVAILABLE")


async def test_context_is_made_for_each_operation_with_the_request_id(client: httpx2.AsyncClient, toy: Served) -> None:
    first = await ask(client, "{hello}")
    second = await client.post("/graphql", json={"query": "{hello}"}, headers={"x-request-id": "from-balancer-1"})
    assert [context.request_id for context in toy.world.contexts] == [
        first.headers["x-request-id"],
        second.headers["x-request-id"],
    ]
    assert second.headers["x-request-id"] == "from-balancer-1"


@pytest.mark.parametrize("insane", ["short", "x" * 65, "has space in it", "new\tline-here"])
async def test_insane_request_id_is_replaced(shared: httpx2.AsyncClient, insane: str) -> None:
    response = await shared.get("/livez", headers={"x-request-id": insane})
    assert response.headers["x-request-id"] != insane


async def test_one_log_line_tells_the_operation_and_no_secret(client: httpx2.AsyncClient) -> None:
    query = 'query Greet($n:String!){hello(name:$n) other:hello(name:"hunter2-literal") missing}'
    with capture_logs() as logs:
        await client.post(
            "/graphql?note=hunter2-query",
            json={"query": query, "variables": {"n": "hunter2-variable"}},
            headers={"authorization": "Bearer hunter2-token"},
        )
    [line] = logs
    assert "hunter2" not in str(logs)
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "POST", "/graphql", 200)
    assert (line["operation"], line["operation_type"], line["cost"]) == ("Greet", "query", 3)
    assert line["codes"] == ["BAD_USER_INPUT"]
    assert line["bytes"] > 0
    assert line["duration_ms"] >= 0


async def test_client_that_leaves_stops_nothing_else(toy: Served, client: httpx2.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    del reader
    assert (await ask(client, "{hello}")).status_code == 200


async def test_browser_is_sent_to_graphiql(client: httpx2.AsyncClient) -> None:
    response = await client.get("/graphql", headers={"accept": "text/html,*/*;q=0.8"})
    assert (response.status_code, response.headers["location"]) == (303, "/graphiql")
    start = await client.get("/")
    assert (start.status_code, start.headers["location"]) == (307, "/graphiql")


async def test_graphiql_loads_only_our_own_files_under_a_strict_policy(client: httpx2.AsyncClient) -> None:
    page = await client.get("/graphiql")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    for part in page.text.split('"'):
        if part.startswith("graphiql/static/"):
            file = await client.get(f"/{part}")
            assert file.status_code == 200
            again = await client.get(f"/{part}", headers={"if-none-match": file.headers["etag"]})
            assert again.status_code == 304
    assert (await client.get("/graphiql/static/../graphiql.py")).status_code == 404
    assert (await client.get("/graphiql/static/%2e%2e/%2e%2e/graphiql.py")).status_code == 404


async def test_every_answer_has_the_security_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_answer: object) -> None:
        raise ValueError

    async with (
        served(hsts="max-age=60", origins=("https://app.example",)) as toy,
        httpx2.AsyncClient(base_url=toy.url, timeout=10) as client,
    ):
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        answers = [await client.get(path) for path in ("/", "/graphql", "/livez", "/nowhere", "/graphiql")]
        answers += [await client.options("/graphql", headers=asked), await client.delete("/livez")]
        answers += [await client.get("/graphql", headers={"x-long": "x" * 100_000})]
        for answer in answers:
            _expect_secure(answer.headers)
            if answer.status_code != 431:
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert [answer.status_code for answer in answers] == [307, 400, 200, 404, 200, 200, 405, 431]
        monkeypatch.setattr(health, "_json", fails)
        monkeypatch.setattr(logging.getLogger("uvicorn.error"), "disabled", True)
        failed = await client.get("/readyz")
        assert failed.status_code == 500
        _expect_secure(failed.headers)
        async with connect(toy.socket_url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            assert socket.response is not None
            _expect_secure(socket.response.headers)


def _expect_secure(headers: Mapping[str, str]) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=60"
    assert "server" not in headers


FOREIGN = [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
SIMPLE = [  # what a page may send elsewhere without asking first (no CORS preflight)
    ("GET", "/graphql?query={hello}", None),
    ("POST", "/graphql?query={hello}", None),
    ("POST", "/graphql", "text/plain"),
    ("POST", "/graphql", "application/x-www-form-urlencoded"),
    ("POST", "/graphql", "multipart/form-data; boundary=x"),
    ("POST", "/graphql", "application/json"),  # asks first, but whoever does not is refused too
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path", "content_type"), SIMPLE)
async def test_a_foreign_page_has_nothing_executed(
    toy: Served,
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    content_type: str | None,
    headers: dict[str, str],
) -> None:
    sent = {**headers, "accept": GRAPHQL, **({"content-type": content_type} if content_type else {})}
    response = await client.request(method, path, content=b'{"query":"{hello}"}', headers=sent)
    assert (response.status_code, only_code(response)) == (403, "BAD_REQUEST")
    assert toy.world.contexts == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://app.example", "sec-fetch-site": "cross-site"},
        {"origin": "{own}", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},  # typed into the address bar
    ],
    ids=str,
)
async def test_phones_and_allowed_pages_are_answered(
    toy: Served, client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    given = {name: value.format(own=toy.url) for name, value in headers.items()}
    for method in ("GET", "POST"):
        asked: dict[str, Any] = {"params" if method == "GET" else "json": {"query": "{hello}"}}
        response = await client.request(method, "/graphql", headers=given, **asked)
        assert response.json()["data"] == {"hello": "hello world"}


async def test_cors_is_for_the_allowed_origins_only(client: httpx2.AsyncClient) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    allowed = await client.options("/graphql", headers={"origin": "https://app.example", **asked})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.example")
    refused = await client.options("/graphql", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in refused.headers


async def test_readiness_follows_the_checks_and_is_remembered(client: httpx2.AsyncClient, toy: Served) -> None:
    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert toy.world.checks == 1
    mongo, s3 = {"name": "mongo", "ok": True, "needed": True}, {"name": "s3", "ok": True, "needed": False}
    assert answers[0].json() == {"ready": True, "degraded": False, "draining": False, "checks": [mongo, s3]}
    toy.world.mongo_down = True
    async with asyncio.timeout(5):
        while (response := await client.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.05)
    assert response.json()["checks"] == [{**mongo, "ok": False}, s3]
    assert (await client.get("/livez")).status_code == 200


async def test_process_without_what_it_only_wants_is_ready_and_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.1)
    async with served() as toy, httpx2.AsyncClient(base_url=toy.url, timeout=10) as client:
        toy.world.storage_hangs = True
        began = time.monotonic()
        first = await client.get("/readyz")
        assert (first.status_code, first.json()["ready"]) == (200, True)
        assert time.monotonic() - began < 1
        async with asyncio.timeout(5):
            while not (answer := (await client.get("/readyz")).json())["degraded"]:
                await asyncio.sleep(0.05)
        assert (answer["ready"], answer["checks"][1]) == (True, {"name": "s3", "ok": False, "needed": False})


async def test_draining_process_is_alive_and_not_ready_and_serves_on(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.app.state.drain.begin()
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/livez")).status_code == 200
    assert (await ask(client, "{hello}")).status_code == 200


async def test_process_that_only_a_new_one_can_replace_is_not_alive(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.world.stuck = True
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()) == (503, {"alive": False})


async def test_request_in_flight_is_finished_before_the_server_stops() -> None:
    async with served() as toy, httpx2.AsyncClient(base_url=toy.url, timeout=10) as client:
        asked = asyncio.create_task(ask(client, "{wait(seconds:0.5)}"))
        await until(lambda: toy.world.running == 1)
        toy.server.should_exit = True
        response = await asked
        assert json.loads(response.content)["data"] == {"wait": "done"}
