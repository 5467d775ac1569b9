"""SIGTERM to a real process: it stops being ready, finishes its work, and ends in time."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support.toy.sockets import Client

PROTOCOL = Subprotocol("graphql-transport-ws")


@dataclass(frozen=True)
class Process:
    """The toy in a process of its own."""

    child: asyncio.subprocess.Process
    port: int

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=10)

    async def ends(self, *codes: int) -> float:
        """Waits for the end with code 0 or one of these. Returns how long that took."""
        started = time.monotonic()
        async with asyncio.timeout(15):
            assert await self.child.wait() in (codes or (0,))
        return time.monotonic() - started


@asynccontextmanager
async def process(notice: float = 0.0, drain: float = 12.0) -> AsyncIterator[Process]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = (sys.executable, "-m", "tests.support.toy", str(port), str(notice), str(drain))
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        running = Process(child, port)
        async with running.client() as client, asyncio.timeout(20):
            while True:
                try:
                    if (await client.get("/livez")).status_code == 200:
                        break
                except httpx2.TransportError:
                    await asyncio.sleep(0.05)
        yield running
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def wait(client: httpx2.AsyncClient, seconds: float) -> httpx2.Response:
    return await client.post("/graphql", json={"query": f"{{wait(seconds:{seconds})}}"})


async def test_work_in_hand_is_finished_and_sockets_are_closed_1012() -> None:
    async with (
        process() as running,
        running.client() as client,
        connect(f"ws://127.0.0.1:{running.port}/graphql", subprotocols=[PROTOCOL]) as connection,
    ):
        over_socket = Client(connection)
        await over_socket.start()
        await over_socket.subscribe("subscription{forever}", "s")
        await over_socket.hear()
        await over_socket.subscribe("{wait(seconds:0.6)}", "q")
        over_http = asyncio.create_task(wait(client, 0.6))
        await asyncio.sleep(0.2)
        running.child.send_signal(signal.SIGTERM)
        answer = await over_socket.hear()
        assert (answer["id"], answer["payload"]["data"]) == ("q", {"wait": "done"})
        assert await over_socket.closed() == (1012, "Service Restart")
        assert (await over_http).json()["data"] == {"wait": "done"}
        assert await running.ends() < 4


async def test_work_that_does_not_end_is_given_up_in_time() -> None:
    async with (
        process(drain=8) as running,
        running.client() as client,
        connect(f"ws://127.0.0.1:{running.port}/graphql", subprotocols=[PROTOCOL]) as connection,
    ):
        over_socket = Client(connection)
        await over_socket.start()
        await over_socket.subscribe("{wait}", "q")
        over_http = asyncio.create_task(wait(client, 3600))
        await asyncio.sleep(0.2)
        running.child.send_signal(signal.SIGTERM)
        assert await over_socket.closed() == (1012, "Service Restart")
        assert await running.ends(0, 1) < 9  # 1 on a machine that is too busy for closing anything
        await asyncio.gather(over_http, return_exceptions=True)


async def test_readiness_is_false_for_the_notice_while_new_connections_are_still_served() -> None:
    async with process(notice=1.5) as running, running.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        running.child.send_signal(signal.SIGTERM)
        signalled_at = time.monotonic()
        async with asyncio.timeout(1):
            while (await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.02)
        assert (await wait(client, 0.01)).json()["data"] == {"wait": "done"}
        assert (await client.get("/livez")).status_code == 200
        assert await refused_at(running) - signalled_at > 1.4
        assert await running.ends() < 4


async def refused_at(running: Process) -> float:
    """The moment at which a new connection is refused."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", running.port)
            except ConnectionRefusedError:
                return time.monotonic()
            writer.close()
            await asyncio.sleep(0.02)


async def test_ctrl_c_waits_for_no_load_balancer() -> None:
    async with process(notice=8, drain=14) as running:
        running.child.send_signal(signal.SIGINT)
        assert await running.ends() < 6


@pytest.mark.parametrize("query", ["{hold}", "{block}"])
async def test_an_operation_that_hangs_ends_with_the_process_within_the_drain(query: str) -> None:
    async with process(drain=2) as running, running.client() as client:
        asked = asyncio.create_task(client.post("/graphql", json={"query": query}))
        await asyncio.sleep(0.2)
        running.child.send_signal(signal.SIGTERM)
        assert await running.ends(1) < 3.5  # of which 2 are the drain's
        await asyncio.gather(asked, return_exceptions=True)
