"""What browsers meet: GraphiQL, security headers, and pages of other origins."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from resolvers.transport import health
from tests.support.toy.http import GRAPHQL, only_code
from tests.support.toy.server import Served, served


async def test_a_browser_is_sent_to_graphiql(client: httpx2.AsyncClient) -> None:
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
                policy = answer.headers["content-security-policy"].split("; ")
                assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy)
                assert not any(each.startswith("object-src") for each in policy), "default-src counts for plugins too"
        assert [answer.status_code for answer in answers] == [307, 400, 200, 404, 200, 200, 405, 431]
        monkeypatch.setattr(health, "JSONResponse", fails)
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
async def test_a_foreign_page_cannot_execute_anything(
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
