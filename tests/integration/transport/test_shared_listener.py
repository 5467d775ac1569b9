"""Servers that share one listening socket: they divide its connections, and none depends on another."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import pytest

from config import Settings
from deploy.local.ports import listen
from resolvers.transport.server import Server, build_server
from resolvers.transport.shared_listener import ConnectionCounts, Share
from tests.support.toy.app import toy_app
from tests.support.toy.server import until
from tests.support.toy.world import World

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def sharing(servers: int, processes: int) -> AsyncIterator[tuple[list[Server], list[World], int, Share]]:
    """Servers on one socket, all of the processes or fewer, their worlds, their port, and the first one's share."""
    counts, worlds = ConnectionCounts.create(processes), [World() for _ in range(servers)]
    settings = Settings(environment="test", drain_timeout=4.0, drain_notice=0.0)
    with closing(listen(settings.host, 0)) as listener:
        made = [
            build_server(toy_app(world), settings, share=Share(counts, number)) for number, world in enumerate(worlds)
        ]
        serving = [asyncio.create_task(server._serve([listener.dup()])) for server in made]
        try:
            await until(lambda: all(server.started for server in made))
            yield made, worlds, listener.getsockname()[1], Share(counts, 0)
        finally:
            for server in made:
                server.should_exit = True
            await asyncio.gather(*serving)


@asynccontextmanager
async def connections(port: int, number: int) -> AsyncIterator[list[Connection]]:
    """So many connections, opened at the same time, each of which has got an answer."""
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(number)))
    try:
        for _, writer in opened:
            writer.write(GET)
        async with asyncio.timeout(10):
            heads = await asyncio.gather(*(reader.readuntil(b"\r\n") for reader, _ in opened))
        assert set(heads) == {b"HTTP/1.1 200 OK\r\n"}
        yield opened
    finally:
        for _, writer in opened:
            writer.close()


def numbers(servers: list[Server]) -> list[int]:
    return [len(server.server_state.connections) for server in servers]


@pytest.mark.parametrize("at_once", [1, 40])
async def test_connections_are_divided_evenly(at_once: int) -> None:
    async with sharing(2, 2) as (servers, _, port, _), AsyncExitStack() as stack:
        for _ in range(40 // at_once):
            await stack.enter_async_context(connections(port, at_once))
        assert sum(numbers(servers)) == 40
        assert min(numbers(servers)) >= 18


async def test_a_server_that_lost_its_connections_gets_the_next_ones() -> None:
    async with sharing(2, 2) as (servers, _, port, _), connections(port, 20):
        for connection in tuple(servers[0].server_state.connections):
            connection.transport.close()
        await until(lambda: numbers(servers)[0] == 0)
        before = numbers(servers)[1]
        async with connections(port, before):
            assert sum(numbers(servers)) == 2 * before
            assert numbers(servers)[0] >= before - 2  # alone the kernel might give it half of them


async def test_a_process_that_is_silent_is_not_waited_for() -> None:
    async with sharing(1, 2) as (servers, _, port, share):
        share.counts.publish(1, 0)  # the last sign of life of a process that hangs
        async with connections(port, 20):
            assert numbers(servers) == [20]
            await until(lambda: share.counts.fewest() == 20)  # its own, which the server goes on to publish


async def test_a_server_that_drains_leaves_new_connections_to_the_other() -> None:
    async with sharing(2, 2) as (servers, _, port, share):
        servers[0].should_exit = True
        await until(lambda: share.counts.sign_of_life(0) == 0)
        async with connections(port, 10):
            assert numbers(servers) == [0, 10]


async def test_a_server_that_is_stuck_ends_because_no_probe_finds_it() -> None:
    async with sharing(2, 2) as (servers, worlds, port, share):
        worlds[0].stuck = True
        await until(lambda: share.counts.sign_of_life(0) == 0)
        assert servers[0].should_exit
        async with connections(port, 10):
            assert numbers(servers) == [0, 10]


async def test_counts_are_seen_by_whoever_has_the_memory() -> None:
    counts = ConnectionCounts.create(2)
    assert counts.fewest() is None
    other = ConnectionCounts(counts.descriptor)
    other.publish(0, 7)
    other.publish(1, 5)
    assert counts.fewest() == 5
    assert time.monotonic_ns() - counts.sign_of_life(1) < 60e9
    other.withdraw(1)
    assert (counts.fewest(), counts.sign_of_life(1)) == (7, 0)
