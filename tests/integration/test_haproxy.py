"""deploy/haproxy/haproxy.cfg before servers that record what reaches them and may close without an answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from domain.limits import FORM_BYTES_MAX, REQUEST_HEAD_BYTES_MAX
from tests.support.haproxy import HAPROXY, haproxy
from tests.support.waiting import eventually

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # without one HAProxy answers itself

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


class Recorder:
    """A server that answers every probe, and every other request unless it is `mute`."""

    def __init__(self) -> None:
        self.requests = list[str]()
        self.is_mute = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        is_probe = head.startswith("GET /readyz")
        if not is_probe:
            self.requests.append(head)
        if is_probe or not self.is_mute:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()


@pytest.fixture(scope="module")
async def servers() -> list[tuple[Recorder, asyncio.Server]]:
    recorders = [Recorder() for _ in range(3)]
    return [(each, await asyncio.start_server(each, "127.0.0.1", 0)) for each in recorders]


@pytest.fixture(scope="module")
def balancer(servers: list[tuple[Recorder, asyncio.Server]]) -> Iterator[tuple[str, Path]]:
    """The address of HAProxy, and its folder."""
    with haproxy([server.sockets[0].getsockname()[1] for _, server in servers]) as running:
        yield running
    for _, server in servers:
        server.close()


@pytest.fixture(scope="module")
async def proxied(balancer: tuple[str, Path]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=balancer[0], timeout=20) as http:

        async def answers() -> bool:
            try:
                return (await http.get("/graphql")).status_code == 200
            except httpx2.TransportError:
                return False

        await eventually(answers, seconds=20)
        yield http


@pytest.fixture
def recorders(servers: list[tuple[Recorder, asyncio.Server]]) -> list[Recorder]:
    found = [recorder for recorder, _ in servers]
    for each in found:
        each.requests.clear()
        each.is_mute = False
    return found


def heads(recorders: list[Recorder]) -> list[str]:
    return [head for each in recorders for head in each.requests]


async def test_what_a_client_says_about_its_address_is_replaced(
    proxied: httpx2.AsyncClient, recorders: list[Recorder]
) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil",
        "Forwarded": "for=6",
        "X-Request-ID": "somebody-elses",
    }
    assert (await proxied.get("/graphql", headers={**lies, "X-Real-IP": "6.6.6.6"})).status_code == 200
    (head,) = heads(recorders)
    forwarded = sorted(line for line in head.lower().splitlines() if "forwarded" in line or "real-ip" in line)
    assert forwarded == ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"]
    assert "x-request-id" not in head.lower()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/%72eadyz", "/%6Detrics?a=b", "/%2e/../readyz"])
async def test_what_is_for_operators_is_not_to_be_had(
    proxied: httpx2.AsyncClient, recorders: list[Recorder], path: str
) -> None:
    assert (await proxied.get(path)).status_code == 404
    assert heads(recorders) == []


@pytest.mark.parametrize(
    ("asked", "is_socket"),
    [
        (["Connection: Upgrade", "Upgrade: websocket"], True),
        (["Connection: keep-alive, upgrade", "Upgrade: WebSocket"], True),
        (["Connection: Upgrade", "Upgrade: h2c, websocket"], False),
        (["Connection: Upgrade", "Upgrade: websocket, h2c"], False),
        (["Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"], False),
        (["Connection: Upgrade", "Upgrade: websocket", "Upgrade: websocket"], False),
        (["Upgrade: websocket"], False),
    ],
)
async def test_only_what_the_api_takes_for_a_socket_goes_past_the_limit_of_requests(
    proxied: httpx2.AsyncClient, recorders: list[Recorder], asked: list[str], is_socket: bool
) -> None:
    """An upgrade that reaches the API went to the backend of sockets: the one rule decides both."""
    reader, writer = await asyncio.open_connection(proxied.base_url.host, proxied.base_url.port)
    writer.write(
        "\r\n".join(["GET /graphql HTTP/1.1", "Host: x", f"Sec-WebSocket-Key: {KEY}", *asked, "", ""]).encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 ")
    writer.close()
    (head,) = heads(recorders)
    assert ("upgrade:" in head.lower()) == is_socket


async def fails(http: httpx2.AsyncClient, method: str) -> bool:
    """Whether a request ends without an answer of the API. HAProxy closes a connection in use, and says nothing."""
    try:
        return (await http.request(method, "/graphql")).status_code == 502
    except httpx2.RemoteProtocolError:
        return True


async def test_a_request_that_may_have_been_done_is_sent_once_and_one_that_reads_again(
    proxied: httpx2.AsyncClient, recorders: list[Recorder]
) -> None:
    for each in recorders:
        each.is_mute = True
    assert await fails(proxied, "POST")
    assert len(heads(recorders)) == 1
    assert await fails(proxied, "GET")
    assert len(heads(recorders)) == 1 + 3
    recorders[0].is_mute = False
    assert all([(await proxied.get("/graphql")).status_code == 200 for _ in range(3)])


async def test_too_large_heads_and_bodies_are_refused_unread(
    proxied: httpx2.AsyncClient, recorders: list[Recorder]
) -> None:
    fits, too_long = "x" * (REQUEST_HEAD_BYTES_MAX - 1_000), "x" * (REQUEST_HEAD_BYTES_MAX + 1)
    assert (await proxied.get("/graphql", headers={"a": fits})).status_code == 200
    assert (await proxied.get("/graphql", headers={"a": too_long})).status_code in {400, 431}
    many = {f"a{number}": "x" for number in range(101)}
    assert (await proxied.get("/graphql", headers=many)).status_code in {400, 431}
    reader, writer = await asyncio.open_connection(proxied.base_url.host, proxied.base_url.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (FORM_BYTES_MAX + 1))
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    assert len(heads(recorders)) == 1


async def test_the_log_has_a_line_for_each_request_and_no_words_of_clients(
    proxied: httpx2.AsyncClient, balancer: tuple[str, Path]
) -> None:
    headers = {"Referer": "https://words.example", "Cookie": "words", "Authorization": "Bearer words"}
    await proxied.get("/graphql/logged?query=words", headers=headers)

    async def line() -> str:
        lines = (balancer[1] / "haproxy.log").read_text().splitlines()
        return next((line for line in lines if "/logged" in line), "")

    found = await eventually(line)
    assert "words" not in found
    assert found.endswith(" GET /graphql/logged HTTP/1.1")


async def test_without_a_ready_process_clients_are_told_to_come_again(
    proxied: httpx2.AsyncClient, servers: list[tuple[Recorder, asyncio.Server]]
) -> None:
    for _, server in servers:
        server.close()

    async def is_refused() -> bool:
        answer = await proxied.post("/graphql", json={})
        return answer.status_code == 503 and answer.headers.get("Retry-After") == "1"

    await eventually(is_refused, seconds=20)
    assert (await proxied.post("/graphql", json={})).json()["errors"][0]["extensions"]["code"] == "BUSY"
