"""Redis's pool of connections: bounded, waits in line, and is whole after cancelled commands and lost connections."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from config import Settings
from datasources.redis import client
from datasources.redis.client import open_client

BUSY = "local n = 0 for i = 1, 20000 do n = n + i end return n"


@pytest.fixture
async def redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    """With two connections, so that others have to wait for one."""
    monkeypatch.setattr(client, "CONNECTIONS", 2)
    opened = open_client(settings.redis_url, seconds=5.0, wait=2.0)
    yield opened
    await opened.aclose()


async def test_more_commands_than_connections_wait_in_line(redis: Redis) -> None:
    assert await asyncio.gather(*(redis.ping() for _ in range(300))) == [True] * 300


async def test_a_command_that_gets_no_connection_in_time_fails(redis: Redis) -> None:
    async with redis.client(), redis.client():
        with pytest.raises(RedisConnectionError, match="No connection available"):
            await redis.ping()
    assert await redis.ping()


async def test_cancelled_commands_leave_every_connection_usable(redis: Redis) -> None:
    for delay in range(20):
        commands = [asyncio.ensure_future(redis.eval(BUSY, 0)) for _ in range(20)]
        await asyncio.sleep(delay / 2000)
        for _ in range(3):
            for command in commands:
                command.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*commands, return_exceptions=True)
    async with redis.client(), redis.client() as last:  # both of them, at once
        assert await last.ping()


async def test_a_cancelled_command_is_cancelled_whenever_that_comes(redis: Redis) -> None:
    for steps in range(40):
        command = asyncio.ensure_future(redis.echo(str(steps)))
        for _ in range(steps):
            await asyncio.sleep(0)
        cancelled = command.cancel()
        await asyncio.wait([command], timeout=5)
        assert command.cancelled() is cancelled, steps
        assert await redis.echo("next") == b"next"


async def test_a_closed_client_stays_closed_whatever_was_under_way(redis: Redis) -> None:
    pool: Any = redis.connection_pool
    waiting = asyncio.ensure_future(redis.blpop(["nothing"], 30))
    while not pool._in_use_connections:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await redis.aclose()
    with pytest.raises(RedisConnectionError):
        await waiting
    with pytest.raises(RedisConnectionError):
        await redis.ping()
    assert not any(connection.is_connected for connection in pool._available_connections)


def test_a_connection_that_is_lost_before_a_command_is_sent_is_replaced(settings: Settings) -> None:
    async def lose_connections() -> None:
        redis = open_client(settings.redis_url, seconds=5.0, wait=1.0)
        async with redis, redis.client() as client, redis.pubsub() as pubsub:
            assert await client.ping()
            await pubsub.subscribe("first")
            connections: list[Any] = [client.connection, pubsub.connection]
            for connection in connections:
                connection._writer.transport.abort()
            await asyncio.sleep(0.01)  # by then uvloop has closed it, and refuses with RuntimeError to write to it
            assert await client.ping()
            await pubsub.subscribe("second")
            messages = [await pubsub.get_message(timeout=5) for _ in range(2)]
            assert {message["channel"] for message in messages} == {b"first", b"second"}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lose_connections())
