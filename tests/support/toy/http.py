"""Requests to the toy over HTTP."""

from collections.abc import Iterable
from typing import Any

import httpx2

GRAPHQL = "application/graphql-response+json"


async def ask(client: httpx2.AsyncClient, query: str, *, accept: str = GRAPHQL, **members: Any) -> httpx2.Response:
    return await client.post("/graphql", json={"query": query, **members}, headers={"accept": accept})


async def send(client: httpx2.AsyncClient, body: bytes, content_type: str = "application/json") -> httpx2.Response:
    return await client.post("/graphql", content=body, headers={"accept": GRAPHQL, "content-type": content_type})


BOUNDARY = "----photogram"


FORM_HEADERS = {
    "accept": GRAPHQL,
    "content-type": f"multipart/form-data; boundary={BOUNDARY}",
    "graphql-require-preflight": "1",
}


MEASURE = "mutation ($file: Upload!) { measure(file: $file) }"


Part = tuple[str, bytes]


def form(parts: Iterable[Part], *, ended: bool = True) -> bytes:
    """A form of parts with a name and a value each, as a browser writes it."""
    written = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="../a"\r\n\r\n%b\r\n'
        % (BOUNDARY.encode(), name.encode(), value)
        for name, value in parts
    )
    return written + (f"--{BOUNDARY}--\r\n".encode() if ended else b"")


def only_code(response: httpx2.Response) -> str:
    """The one code of the errors of an answer without data."""
    body = response.json()
    assert "data" not in body
    [code] = {error["extensions"]["code"] for error in body["errors"]}
    return str(code)
