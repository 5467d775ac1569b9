"""deploy/haproxy/haproxy.cfg before three API processes of which one is killed and one is drained and replaced."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from random import Random

import httpx2
import pytest

from config import Settings
from deploy.local.process import Process
from domain.ids import to_global_id
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.callers import CALLERS, NAME, Callers, Listener, listening
from tests.support.client import Api, Person
from tests.support.factories import World, now
from tests.support.haproxy import HAPROXY, haproxy
from tests.support.stack import Stack, stack_on
from tests.support.waiting import eventually

NOTICE = 4.0  # seconds; the configuration takes a process out after two
USERS = 10

Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


async def state_of(folder: Path, server: str) -> str:
    """What HAProxy says of a server, such as UP."""
    reader, writer = await asyncio.open_unix_connection(folder / "admin")
    try:
        writer.write(b"show stat\n")
        lines = (await reader.read()).decode().splitlines()
    finally:
        writer.close()
    names = lines[0].lstrip("# ").split(",")
    rows = [dict(zip(names, line.split(","), strict=False)) for line in lines[1:] if line]
    return next(row["status"] for row in rows if (row["pxname"], row["svname"]) == ("requests", server))


async def notify(world: World, users: Sequence[UserRecord], posts: Sequence[PostRecord], rng: Random) -> None:
    """Comments on random people's posts, again and again, and notifies them."""
    while True:
        for post in rng.sample(posts, 2):
            await world.comment(post, rng.choice(users))
        await world.drain()
        await asyncio.sleep(0.1)


async def have_all(world: World, users: Sequence[UserRecord], listeners: Sequence[Listener]) -> bool:
    """Whether every listener got every notification. No number may come twice or out of order."""
    for number, listener in enumerate(listeners):
        assert listener.seqs == sorted(set(listener.seqs))
        user = users[number % len(users)]
        rows = world.sources.database["notifications"].find({"recipient_id": user.id}, {"seq": 1})
        if not {row["seq"] async for row in rows} <= set(listener.seqs):
            return False
    return True


async def test_a_killed_and_a_drained_process_behind_the_balancer_cost_no_request_and_no_notification(
    world: World, settings: Settings, tmp_path: Path, rng: Random, full_size: bool, record_property: Record
) -> None:
    number, rate, sockets, calm = (3, 200.0, 200, 5.0) if full_size else (2, 40.0, 20, 0.2)
    users = await world.users(USERS)
    posts = [await world.post(user) for user in users]
    patient = settings.model_copy(update={"drain_notice": NOTICE, "drain_timeout": 12.0, "log_level": "WARNING"})
    async with AsyncExitStack() as opened:
        with ExitStack() as processes:
            stacks = [processes.enter_context(stack_on(patient, folder(tmp_path, each))) for each in range(number)]
            apis = await asyncio.gather(*(stack.api() for stack in stacks))
            url, balancer = processes.enter_context(haproxy([stack.settings.port for stack in stacks]))
            await eventually(lambda: answers(url), seconds=20)
            limits = httpx2.Limits(max_connections=CALLERS)
            http = await opened.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=20, limits=limits))
            tokens = [(await world.sources.sessions.open(user.id, None, now()))[1] for user in users]
            people = [Person(http, each.access_token) for each in tokens]
            callers, stopping = Callers(people, to_global_id("Post", posts[0].id), rate), asyncio.Event()
            listeners = await opened.enter_async_context(listening(people, sockets))
            notifying = asyncio.create_task(notify(world, users, posts, rng))
            calling = asyncio.create_task(callers.run(stopping))
            try:
                await asyncio.sleep(calm)
                await replace(stacks[1], apis[1])
                await eventually(lambda: is_up(balancer, "api2"), seconds=20)
                await asyncio.sleep(calm)
                apis[0].kill()
                await eventually(lambda: is_down(balancer, "api1"), seconds=20)
                await asyncio.sleep(calm)
            finally:
                stopping.set()
                notifying.cancel()
                await asyncio.gather(calling, notifying, return_exceptions=True)
            calling.result()
            await world.drain()
            await eventually(lambda: have_all(world, users, listeners), seconds=60)
            again = sum(listener.connected - 1 for listener in listeners)
            for name, value in (*callers.counts.items(), ("failed", len(callers.failures)), ("resumed", again)):
                record_property(name, value)
            assert callers.failures == []
            assert again >= sockets // 3


def folder(parent: Path, number: int) -> Path:
    made = parent / f"api{number}"
    made.mkdir()
    return made


async def answers(url: str) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        async with httpx2.AsyncClient(base_url=url) as http:
            return (await Api(http).ask(NAME)).status == 200
    return False


async def is_up(folder: Path, server: str) -> bool:
    return await state_of(folder, server) == "UP"


async def is_down(folder: Path, server: str) -> bool:
    return await state_of(folder, server) == "DOWN"


async def replace(stack: Stack, process: Process) -> None:
    """Drains a process and starts another one at its port."""
    assert await stack.stop(process, signal_number=signal.SIGTERM) == [0]
    await stack.api()
