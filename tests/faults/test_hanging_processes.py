"""Processes under a flood of cancelled operations, and processes that hang: they work on, and end when they must."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx2
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from config import Settings
from deploy.local.environment import child_environment
from tests.support.client import PASSWORD, SOCKETS, Api
from tests.support.factories import World, now
from tests.support.stack import ROOT, stack_on
from tests.support.waiting import eventually

Record = Callable[[str, object], None]

LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } } }"
LISTS = " ".join(f"l{n}: {'followers' if n % 2 else 'following'}(first: 1) {{ edges {{ cursor }} }}" for n in range(16))
PAGE = f"{{ viewer {{ user {{ {LISTS} }} }} }}"
OPERATIONS = 8  # on one socket
DRAIN = 6.0
PATIENCE = 10.0  # the longest wait of a client


async def log_in(http: httpx2.AsyncClient, username: str, patience: float) -> None:
    """A login with a wrong password, which waits so long for an answer."""
    given = {"input": {"login": username, "password": "wrong " + PASSWORD}}
    with suppress(httpx2.HTTPError):
        await http.post("/graphql", json={"query": LOGIN, "variables": given}, timeout=patience)


async def give_up(url: str, token: str, patience: float) -> None:
    """A client that asks for many pages at once and leaves before the answers come."""
    with suppress(OSError, WebSocketException, TimeoutError):
        async with asyncio.timeout(PATIENCE), connect(url, subprotocols=[SOCKETS], close_timeout=1) as socket:
            await socket.send(orjson.dumps({"type": "connection_init", "payload": {"authorization": token}}).decode())
            await socket.recv()
            for number in range(OPERATIONS):
                asked = {"id": str(number), "type": "subscribe", "payload": {"query": PAGE}}
                await socket.send(orjson.dumps(asked).decode())
            await asyncio.sleep(patience)


async def is_working(api: Api) -> bool:
    """Whether the API answers in time. It may still be busy with the flood."""
    with suppress(httpx2.HTTPError):
        return not (await api.ask("{ viewer { email } }")).errors
    return False


async def test_a_flood_of_cancelled_operations_leaves_an_api_that_works_and_ends_in_time(
    world: World, tmp_path: Path, rng: Random, full_size: bool, record_property: Record
) -> None:
    seconds, clients, guessers = (60, 300, 160) if full_size else (4, 60, 160)
    short = world.sources.settings.model_copy(update={"mongo_timeout": 0.25, "drain_timeout": DRAIN})
    with stack_on(short, tmp_path) as stack:
        api = await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, limits=httpx2.Limits(max_connections=None)) as http:
            user = await world.user()
            _, tokens = await world.sources.sessions.open(user.id, None, now())
            ends, url = time.monotonic() + seconds, stack.url.replace("http", "ws") + "/graphql"

            async def clients_come() -> int:
                left = 0
                while time.monotonic() < ends:
                    await give_up(url, f"Bearer {tokens.access_token}", rng.uniform(0, 0.2))
                    left += 1
                return left

            flood = asyncio.gather(*(log_in(http, user.username, rng.uniform(0.05, seconds)) for _ in range(guessers)))
            left = sum(await asyncio.gather(*(clients_come() for _ in range(clients))))
            await flood
            record_property("clients", left)
            await eventually(lambda: is_working(Api(http, tokens.access_token)), seconds=2 * PATIENCE)
        began = time.monotonic()
        codes = await stack.stop(api)
        record_property("ended_after", f"{time.monotonic() - began:.1f}")
    assert codes == [0]


async def test_a_worker_whose_loop_hangs_ends_in_time(world: World, tmp_path: Path) -> None:
    hanging = {"drain_timeout": 2.0, "comment_screen": "tests.faults.hanging:screen"}
    with stack_on(world.sources.settings.model_copy(update=hanging), tmp_path) as stack:
        worker, author = await stack.workers("screening", "relay"), await world.user()
        await world.comment(await world.post(author), author)

        async def hangs() -> bool:
            return b"the screen hangs" in worker.log.read_bytes()

        await eventually(hangs, seconds=30)
        began = time.monotonic()
        assert await stack.stop(worker) == [1]
        assert time.monotonic() - began < 4
        assert b"tests/faults/hanging.py" in worker.log.read_bytes()  # the log says where


async def test_a_worker_that_is_stuck_ends_by_itself(settings: Settings) -> None:
    command = (sys.executable, "-m", "tests.faults.hanging", "worker", "counters")
    worker = await asyncio.create_subprocess_exec(*command, env=child_environment(settings), stderr=PIPE, cwd=ROOT)
    async with asyncio.timeout(60):
        _, errors = await worker.communicate()
    assert worker.returncode == 1
    assert errors.endswith(
        b"photogram: this process could not use MongoDB any more, though MongoDB answers; start another\n"
    )
