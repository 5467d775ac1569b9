"""Sockets that are opened, subscribed over and dropped, again and again, leave nothing in the process."""

import asyncio
import json
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.sources import prepare
from tests.support.api_process import ApiProcess, api_process
from tests.support.factories import opened
from tests.support.raw_sockets import RawSocket
from tests.support.waiting import eventually

SUBSCRIBE = "subscription { notificationAdded { seq } }"
AT_ONCE = 20
GROWTH = 5 * 2**20  # bytes

DRIVERS = ("PyMongo", "_poll_", "Loop.sock_connect")  # tasks of MongoDB's driver


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[ApiProcess]:
    await prepare(settings)
    quiet = settings.model_copy(update={"log_level": "ERROR"})
    with api_process(quiet, "tests.faults.counted_server", stdout=subprocess.PIPE) as process:
        yield process


async def tasks_of(api: ApiProcess) -> Counter[str]:
    """How many tasks run, by name; those of the driver's own connections come and go."""
    api.process.send_signal(signal.SIGUSR1)
    assert api.process.stdout is not None
    line = await asyncio.wait_for(asyncio.to_thread(api.process.stdout.readline), 20)
    counts: dict[str, int] = json.loads(line)
    return Counter({name: count for name, count in counts.items() if not name.startswith(DRIVERS)})


async def test_dropped_sockets_leave_no_task_descriptor_connection_or_memory(
    settings: Settings, api: ApiProcess, full_size: bool, record_property: Callable[[str, object], None]
) -> None:
    rounds = 2_000 if full_size else 600
    async with opened(settings) as world:
        now = clock.now()
        logins = [await world.sources.sessions.open(ObjectId(), None, now) for _ in range(AT_ONCE)]

    async def drop(token: str, times: int) -> None:
        for _ in range(times):
            socket = await RawSocket.opened(api.port, token)
            await socket.subscribe(SUBSCRIBE)
            socket.abort()

    async def drop_all() -> tuple[Counter[str], int, int]:
        await asyncio.gather(*(drop(tokens.access_token, rounds // AT_ONCE) for _, tokens in logins))

        async def are_gone() -> bool:
            return api.connections()["clients"] == 0 and not any(
                name.startswith("Socket.") for name in await tasks_of(api)
            )

        await eventually(are_gone, seconds=20)
        return await tasks_of(api), api.other_descriptors(), api.memory

    tasks, descriptors, memory = await drop_all()
    *_, memory_after = await drop_all()
    record_property("grown", memory_after - memory)

    async def is_as_before() -> bool:
        """A check of health, or a connection that is made anew, may be there at the moment of a count, not for long."""
        connections = api.connections()
        return (
            await tasks_of(api) <= tasks
            and api.other_descriptors() <= descriptors
            and connections["mongodb"] <= 50 + 3  # the pool, and those that watch the server
            and connections["redis"] <= 2
        )

    await eventually(is_as_before, seconds=20)
    assert memory_after - memory < GROWTH
