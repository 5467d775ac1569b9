"""Compression of answers: for clients that take it, and only where it saves something."""

import gzip
import json
from collections.abc import AsyncIterator, Callable

import brotli
import httpx2
import pytest
import zstandard

from tests.support.toy.http import GRAPHQL
from tests.support.toy.server import served

ORIGIN = "https://app.example"
LARGE = {"query": "{feed(first:50){edges{cursor node{id caption}}}}"}
SMALL = {"query": "{hello}"}
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with served(origins=(ORIGIN,)) as toy, httpx2.AsyncClient(base_url=toy.url, timeout=10) as opened:
        yield opened


async def raw(
    client: httpx2.AsyncClient, coding: str, request: dict[str, str], accept: str = GRAPHQL
) -> tuple[httpx2.Headers, bytes]:
    """The headers and the body as it was sent."""
    headers = {"accept-encoding": coding, "accept": accept, "origin": ORIGIN}
    async with client.stream("POST", "/graphql", json=request, headers=headers) as response:
        return response.headers, b"".join([chunk async for chunk in response.aiter_raw()])


@pytest.mark.parametrize("accept", [GRAPHQL, "application/json"])
@pytest.mark.parametrize(
    ("asked", "coding"),
    [
        ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, deflate, br", "br"), ("gzip, br, zstd", "zstd"),
        ("br;q=0, gzip", "gzip"), ("*", "zstd"), ("GZIP", "gzip"),
    ],
)  # fmt: skip
async def test_a_large_answer_comes_in_the_best_coding_the_client_takes(
    client: httpx2.AsyncClient, asked: str, coding: str, accept: str
) -> None:
    headers, body = await raw(client, asked, LARGE, accept)
    assert headers["content-encoding"] == coding
    assert int(headers["content-length"]) == len(body)
    assert {name.strip().lower() for name in headers["vary"].split(",")} >= {"accept-encoding", "origin"}
    _, plain = await raw(client, "identity", LARGE, accept)
    assert len(body) < len(plain) / 3
    assert DECODE[coding](body) == plain
    assert len(json.loads(plain)["data"]["feed"]["edges"]) == 50


@pytest.mark.parametrize("asked", ["identity", "gzip;q=0", "deflate", "compress;q=0.5"])
async def test_a_client_that_takes_no_coding_of_ours_gets_none_and_vary_says_so(
    client: httpx2.AsyncClient, asked: str
) -> None:
    headers, body = await raw(client, asked, LARGE)
    assert "content-encoding" not in headers
    assert "accept-encoding" in headers["vary"].lower()
    assert json.loads(body)["data"]


async def test_an_answer_of_one_packet_is_not_compressed(client: httpx2.AsyncClient) -> None:
    headers, body = await raw(client, "gzip, br, zstd", SMALL)
    assert "content-encoding" not in headers
    assert json.loads(body)["data"] == {"hello": "hello world"}


@pytest.mark.parametrize("name", ["graphiql.min.js", "react.production.min.js", "graphiql.min.css"])
async def test_a_static_file_is_compressed_once_and_revalidated(client: httpx2.AsyncClient, name: str) -> None:
    path = f"/graphiql/static/vendor/{name}"
    plain = await client.get(path, headers={"accept-encoding": "identity"})
    async with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == plain.content
    assert response.headers["etag"] == plain.headers["etag"]
    assert plain.headers["etag"].startswith('W/"')  # a strong one would stand for one coding
    again = await client.get(path, headers={"if-none-match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_compression_can_be_left_to_a_load_balancer() -> None:
    async with (
        served(compress=False, origins=(ORIGIN,)) as toy,
        httpx2.AsyncClient(base_url=toy.url, timeout=10) as client,
    ):
        headers, body = await raw(client, "gzip, br, zstd", LARGE)
        assert "content-encoding" not in headers
        assert json.loads(body)["data"]
