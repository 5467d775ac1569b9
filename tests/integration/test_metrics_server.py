"""`/metrics` stays a small thing: whatever its clients do, it holds few connections, and it stops nothing."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import httpx2
import pytest
from structlog.testing import capture_logs

from datasources.telemetry import metrics_server
from datasources.telemetry.metrics_server import HEAD_BYTES, PATH, SCRAPES_MAX, serve_metrics
from deploy.local.ports import LOOPBACK
from tests.support.waiting import eventually


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A listening socket of somebody else."""
    with socket.create_server((LOOPBACK, 0)) as other:
        yield other


@pytest.fixture
def port(taken: socket.socket) -> int:
    """A free port."""
    number = int(taken.getsockname()[1])
    taken.close()
    return number


async def answers(port: int) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        async with httpx2.AsyncClient() as client:
            return (await client.get(f"http://{LOOPBACK}:{port}{PATH}")).status_code == 200
    return False


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, port)


async def is_dropped(reader: asyncio.StreamReader) -> bool:
    """Waits until the other end closes, without an answer."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            return await reader.read() == b""
    return True


async def test_without_a_port_nobody_serves_and_after_the_block_nobody_does(port: int) -> None:
    async with serve_metrics(LOOPBACK, None):
        assert not await answers(port)
    async with serve_metrics(LOOPBACK, port):
        await eventually(lambda: answers(port))
    assert not await answers(port)


async def test_a_port_that_is_taken_stops_nothing_and_is_tried_again(
    taken: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "RETRY_SECONDS", 0.05)
    number = int(taken.getsockname()[1])
    with capture_logs() as logs:
        async with serve_metrics(LOOPBACK, number):

            async def is_told() -> bool:
                return "metrics.not_served" in {line["event"] for line in logs}

            await eventually(is_told)
            taken.close()
            await eventually(lambda: answers(number))


async def test_who_asks_nothing_is_dropped_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "SCRAPE_SECONDS", 0.2)
    async with serve_metrics(LOOPBACK, port):
        await eventually(lambda: answers(port))
        silent, writer = await connect(port)
        dripping, drip = await connect(port)
        drip.write(b"GET /metrics HTTP/1.1\r\n")
        assert await is_dropped(silent)
        assert await is_dropped(dripping)
        for each in (writer, drip):
            each.close()
        monkeypatch.undo()
        assert await answers(port)


async def test_only_a_few_are_served_at_once(port: int) -> None:
    async with serve_metrics(LOOPBACK, port):
        await eventually(lambda: answers(port))
        held = [await connect(port) for _ in range(SCRAPES_MAX)]
        await asyncio.sleep(0.1)
        one_more, writer = await connect(port)
        assert await is_dropped(one_more)
        for _, each in (*held, (one_more, writer)):
            each.close()
        await eventually(lambda: answers(port))


@pytest.mark.parametrize(
    "accept", ["text/plain; version=x", "application/openmetrics-text; version=x", "text/plain; version=1..0"]
)
async def test_a_version_that_is_no_number_is_answered_as_plain_text(port: int, accept: str) -> None:
    async with serve_metrics(LOOPBACK, port):
        await eventually(lambda: answers(port))
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"http://{LOOPBACK}:{port}{PATH}", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# HELP" in answer.content


@pytest.mark.parametrize("head", [b"x" * 2 * HEAD_BYTES, b"\xff\x00\r\n\r\n", b"GET\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n"])
async def test_a_head_that_makes_no_sense_is_refused(port: int, head: bytes) -> None:
    async with serve_metrics(LOOPBACK, port):
        await eventually(lambda: answers(port))
        reader, writer = await connect(port)
        writer.write(head)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                assert (await reader.read()).partition(b"\r\n")[0] in (
                    b"", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 405 Method Not Allowed",
                )  # fmt: skip
        writer.close()
        assert await answers(port)
