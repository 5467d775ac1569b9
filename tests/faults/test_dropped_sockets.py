"""Sockets that are opened, subscribed over and dropped, again and again, leave nothing in the process."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psutil
from bson import ObjectId

from config import Settings
from datasources.sources import prepare
from deploy.local.environment import child_environment
from deploy.local.ports import LOOPBACK, listen
from tests.support.factories import opened
from tests.support.raw_sockets import RawSocket
from tests.support.stack import ROOT
from tests.support.waiting import eventually

SUBSCRIBE = "subscription { notificationAdded { seq } }"
AT_ONCE = 20
GROWTH = 5 * 2**20  # bytes


class Counted:
    """An API process of which can be told what it holds."""

    def __init__(self, process: asyncio.subprocess.Process, settings: Settings) -> None:
        self._process = process
        self._settings = settings
        self._seen = psutil.Process(process.pid)

    async def tasks(self) -> dict[str, int]:
        """How many tasks run, by name; those of the driver's own connections come and go."""
        self._process.send_signal(signal.SIGUSR1)
        assert self._process.stdout is not None
        counted: dict[str, int] = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 20))
        return {name: count for name, count in counted.items() if not name.startswith(("PyMongo", "_poll_"))}

    @property
    def memory(self) -> int:
        return int(self._seen.memory_info().rss)

    def connections(self) -> dict[str, int]:
        """Established connections: to MongoDB, to Redis, and of clients."""
        ports = {urlsplit(self._settings.redis_url).port: "redis", self._settings.port: "clients"}
        counted = dict.fromkeys(("redis", "clients", "mongodb"), 0)
        for one in self._seen.net_connections("tcp"):
            if one.status == psutil.CONN_ESTABLISHED and one.raddr:
                counted[ports.get(one.raddr.port) or ports.get(one.laddr.port) or "mongodb"] += 1
        return counted

    def others(self) -> int:
        """Open files and sockets that are none of these."""
        return self._seen.num_fds() - sum(self.connections().values())


@asynccontextmanager
async def counted(settings: Settings) -> AsyncIterator[Counted]:
    """The API on a free port."""
    with listen(LOOPBACK, 0) as listener:
        port = listener.getsockname()[1]
    settings = settings.model_copy(update={"host": LOOPBACK, "port": port, "log_level": "ERROR"})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.counted_server"),
        env=child_environment(settings), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:

        async def is_up() -> bool:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                return False
            writer.close()
            return True

        await eventually(is_up, seconds=60)
        yield Counted(process, settings)
    finally:
        assert process.returncode is None, f"ended with {process.returncode}"
        process.terminate()
        await process.wait()


async def test_dropped_sockets_leave_no_task_descriptor_connection_or_memory(
    settings: Settings, full_size: bool, record_property: Callable[[str, object], None]
) -> None:
    rounds = 2_000 if full_size else 600
    await prepare(settings)
    async with opened(settings) as world, counted(settings) as api:
        now = datetime.now(UTC)
        tokens = [(await world.sources.sessions.open(ObjectId(), None, now))[1].access_token for _ in range(AT_ONCE)]
        port = api._settings.port

        async def drop(token: str, times: int) -> None:
            for _ in range(times):
                socket = await RawSocket.opened(port, token)
                await socket.subscribe(SUBSCRIBE)
                socket.abort()

        async def drop_all() -> tuple[dict[str, int], int, int]:
            await asyncio.gather(*(drop(token, rounds // AT_ONCE) for token in tokens))

            async def are_gone() -> bool:
                return api.connections()["clients"] == 0 and not any(
                    name.startswith("Socket.") for name in await api.tasks()
                )

            await eventually(are_gone, seconds=20)
            return await api.tasks(), api.others(), api.memory

        tasks, others, memory = await drop_all()
        tasks_after, others_after, memory_after = await drop_all()
        record_property("grown", memory_after - memory)
        assert tasks_after == tasks
        assert others_after <= others
        assert memory_after - memory < GROWTH
        held = api.connections()
        assert held["mongodb"] <= 50 + 3  # the pool, and those that watch the server
        assert held["redis"] <= 2
