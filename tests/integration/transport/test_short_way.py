"""`POST /graphql` is answered as all other paths are: by the short way exactly as through Starlette's middleware."""

import gzip
import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

import brotli
import orjson
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message
from structlog.testing import capture_logs

from resolvers.transport.application import Application
from tests.support.toy.app import toy_app
from tests.support.toy.http import BOUNDARY, GRAPHQL, MEASURE, form
from tests.support.toy.world import World

Headers = dict[str, str]

JSON = {"content-type": "application/json"}
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
OURS, FOREIGN = "https://app.example.com", "https://evil.example"


def query(text: str, **members: Any) -> bytes:
    return orjson.dumps({"query": text, **members})


UPLOAD = form(
    [
        ("operations", query(MEASURE, variables={"file": None})),
        ("map", b'{"0": ["variables.file"]}'),
        ("0", b"bytes"),
    ]
)
SMALL, LARGE = query("{hello}"), query("{feed(first: 500) {edges {cursor node {id caption}}}}")

REQUESTS: dict[str, tuple[Headers, bytes]] = {
    "small": (JSON, SMALL),
    "large": (JSON, LARGE),
    "viewer": ({**JSON, "authorization": "Bearer ana"}, query("{viewer}")),
    "bad token": ({**JSON, "authorization": "Bearer bad"}, query("{viewer}")),
    "no token": (JSON, query("{inbox}")),
    "mutation": (JSON, query("mutation {add(a: 1, b: 2)}")),
    "subscription": (JSON, query("subscription {counted}")),
    "field error": (JSON, query("{hello missing broken}")),
    "outage": (JSON, query("{away}")),
    "invalid": (JSON, query("{nothing}")),
    "syntax error": (JSON, query("{")),
    "no JSON": (JSON, b"{"),
    "empty": (JSON, b""),
    "null": (JSON, b"null"),
    "too large": (JSON, b" " * 2_000_000),
    "announced too large": ({**JSON, "content-length": "99999999"}, b""),
    "text": ({"content-type": "text/plain"}, SMALL),
    "no content type": ({}, SMALL),
    "charset": ({"content-type": "application/json; charset=latin-1"}, SMALL),
    "compressed": ({**JSON, "content-encoding": "gzip"}, gzip.compress(SMALL)),
    "form": ({**FORM, "graphql-require-preflight": "1"}, UPLOAD),
    "form without preflight": (FORM, UPLOAD),
    "not acceptable": ({**JSON, "accept": "text/html"}, SMALL),
    "GraphQL's own type": ({**JSON, "accept": GRAPHQL}, query("{nothing}")),
    "bad request id": ({**JSON, "x-request-id": "short"}, SMALL),
}
PAGES: dict[str, Headers] = {
    "an app": {},
    "our page": {"origin": OURS},
    "a foreign page": {"origin": FOREIGN},
    "an image": {"sec-fetch-site": "cross-site"},
}
ENCODINGS = ["", "gzip", "zstd, br, gzip"]
ID = "from-balancer-1"


@dataclass
class Got:
    """An answer, and the lines that were logged."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    lines: list[dict[str, Any]]


async def post(app: ASGIApp, headers: Headers, body: bytes) -> Got:
    """Sends a request, which comes in pieces, to an application."""
    cut = len(body) // 2
    incoming: list[Message] = [
        {"type": "http.request", "body": body[:cut], "more_body": True},
        {"type": "http.request", "body": b"", "more_body": True},
        {"type": "http.request", "body": body[cut:], "more_body": False},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/graphql", "raw_path": b"/graphql", "query_string": b"", "root_path": "", "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 80), "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    with capture_logs() as lines:
        await app(scope, receive, send)
    start, *bodies = sent
    content = b"".join(message.get("body", b"") for message in bodies)
    return Got(start["status"], start["headers"], content, [dict(line) for line in lines])


def comparable(got: Got) -> object:
    """What has to be equal: all but the time, and an id that was made up."""
    headers = {name.lower(): value for name, value in got.headers}
    assert len(headers) == len(got.headers)
    made_up = headers[b"x-request-id"] != ID.encode()
    if made_up:
        assert len(headers.pop(b"x-request-id")) == 32
    for line in got.lines:
        line.pop("duration_ms", None)
        line.pop("exception", None)  # its lines depend on whether the operation was compiled
        if made_up:
            line.pop("request_id", None)
    body = {None: bytes, b"gzip": gzip.decompress, b"br": brotli.decompress, b"zstd": unpack_zstd}[
        headers.get(b"content-encoding")
    ](got.body)
    return got.status, headers, body, got.lines


def unpack_zstd(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


@pytest.fixture(scope="module")
def apps() -> list[Application]:
    """With and without pages of other origins, with and without compression."""
    return [
        toy_app(World(), origins=origins, compress=compress)
        for origins, compress in itertools.product([(), (OURS,)], [True, False])
    ]


@pytest.mark.parametrize("name", REQUESTS)
async def test_both_ways_give_the_same_answer_and_log_the_same(apps: list[Application], name: str) -> None:
    given, body = REQUESTS[name]
    for app, page, encoding in itertools.product(apps, PAGES.values(), ENCODINGS):
        headers = {"host": "api.example.com", "accept-encoding": encoding, "x-request-id": ID, **page, **given}
        short = await post(app, headers, body)
        long = await post(partial(Starlette.__call__, app), headers, body)
        assert short.lines
        assert comparable(short) == comparable(long)
