"""`photogram serve --processes`: several API processes behind one port, as one."""

import asyncio
import re
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx2
import orjson
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from config import Settings
from deploy.local import services
from deploy.local.ports import listen
from deploy.local.process import Process, stop_all
from deploy.local.services import ApiProcesses
from tests.support.stack import START_SECONDS, Stack, stack_on
from tests.support.waiting import eventually

CONNECTIONS = 40


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    """No load balancer has to notice anything."""
    return settings.model_copy(update={"drain_notice": 0.0, "drain_timeout": 10.0})


def children(parent: Process) -> list[psutil.Process]:
    """The API processes, in the order of their numbers."""
    found = [child for child in psutil.Process(parent.pid).children() if "--number" in child.cmdline()]
    return sorted(found, key=lambda child: int(child.cmdline()[-1]))


def watch(api: ApiProcesses, until: Callable[[], bool]) -> list[str]:
    """Watches the processes as their parent does until a condition holds; returns the lines printed meanwhile."""
    lines, ends = list[str](), time.monotonic() + START_SECONDS
    while not until():
        assert time.monotonic() < ends, lines
        lines += api.restart_dead()
        time.sleep(services.WATCH_SECONDS)
    return lines


def clients(process: psutil.Process, port: int) -> int:
    """How many connections of clients a process has."""
    return sum(1 for each in process.net_connections("tcp") if each.laddr.port == port and each.status == "ESTABLISHED")


async def await_accepting(stack: Stack, parent: Process, number: int) -> None:
    """Waits until so many processes accept, each of which gets one of as many connections then."""
    port = stack.settings.port

    async def have_one_each() -> bool:
        opened = [await asyncio.open_connection(stack.settings.host, port) for _ in range(number)]
        try:
            await asyncio.sleep(0.2)
            return [clients(child, port) for child in children(parent)] == [1] * number
        finally:
            for _, writer in opened:
                writer.close()

    await eventually(have_one_each, seconds=START_SECONDS)


async def test_two_processes_divide_the_connections_and_drain_together(hasty: Settings, tmp_path: Path) -> None:
    with stack_on(hasty, tmp_path) as stack:
        parent = await stack.api("--processes", "2")
        await await_accepting(stack, parent, 2)
        both, url = children(parent), f"{stack.url.replace('http', 'ws')}/graphql"
        sockets = [await connect(url, subprotocols=["graphql-transport-ws"]) for _ in range(CONNECTIONS)]  # type: ignore[list-item]
        for socket in sockets:
            await socket.send(orjson.dumps({"type": "connection_init"}).decode())
            assert orjson.loads(await socket.recv())["type"] == "connection_ack"
        shares = [clients(child, stack.settings.port) for child in both]
        assert sum(shares) == CONNECTIONS
        assert min(shares) >= CONNECTIONS // 4  # a process that gets no processor time is not waited for
        assert await stack.stop(parent) == [0]
        for socket in sockets:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert not [child for child in both if child.is_running()]
    lines = [orjson.loads(line) for line in parent.log.read_bytes().splitlines()]
    assert {line.get("process") for line in lines if line["event"] == "socket opened"} == {1, 2}


async def test_a_killed_process_leaves_the_service_up_and_comes_back(hasty: Settings, tmp_path: Path) -> None:
    with stack_on(hasty, tmp_path) as stack:
        parent = await stack.api("--processes", "2")
        await await_accepting(stack, parent, 2)
        victim = children(parent)[0]
        victim.kill()
        victim.wait(10)
        async with httpx2.AsyncClient(base_url=stack.url, timeout=10) as client:
            assert (await client.get("/readyz")).status_code == 200
        await await_accepting(stack, parent, 2)
        assert victim.pid not in {child.pid for child in children(parent)}
    assert re.search(rb"API was killed by SIGKILL; starting again in 0\.5 s", parent.log.read_bytes())


def test_a_process_that_hangs_is_killed_and_started_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "HANGS_SECONDS", 2.0)
    with closing(listen("127.0.0.1", 0)) as listener:
        api = ApiProcesses.create(1, settings, listener.fileno())
        api.start()
        try:
            first = api.running[0].pid
            watch(api, lambda: api.sign_of_life(0) > 0)
            psutil.Process(first).send_signal(signal.SIGSTOP)
            lines = watch(api, lambda: api.running[0].pid != first)
            assert lines[0] == "API does not react; it is killed"
            watch(api, lambda: api.sign_of_life(0) > 0)
        finally:
            stop_all(api.running, 10)
