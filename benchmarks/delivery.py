"""How long a like takes to reach the author's socket, at light load: `python -m benchmarks.delivery`.

The API and the workers are processes of their own, as in production; the like comes over HTTP.
"""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.lib.checkouts import Before, CheckoutApi, checkout_api, compared
from benchmarks.lib.documents import posts, users
from benchmarks.lib.http_callers import Caller, request_of
from benchmarks.lib.report import Table, median, percentile, rounds, show, times
from benchmarks.lib.servers import finish, servers, stores
from benchmarks.lib.socket_client import Client, connect
from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources
from deploy.local.environment import child_environment
from domain.ids import to_global_id
from tests.support.api_process import cpu_seconds
from tests.support.waiting import eventually

LONGEST = 900.0
BUDGET = 400.0  # seconds of rounds
LIKERS = 40
STOP_SECONDS = 30.0
LIKE = "mutation($id: ID!) { likePost(input: {postId: $id}) { userErrors { code } post { likeCount } } }"
EVENT = """subscription { notificationAdded { seq notification {
  id ... on PostNotification { actorCount actors { username } post { id } }
} } }"""


class Side:
    """One checkout's API and workers, an author with a socket, and how long likes took to reach it."""

    def __init__(self, api: CheckoutApi, worker: psutil.Process, sources: Sources) -> None:
        self._api, self._worker, self._sources = api, worker, sources
        self._requests: Iterator[bytes] = iter(())
        self._client: Client | None = None
        self.waits: list[float] = []
        self.worker_cpu: list[float] = []  # seconds a like
        self.idle_cpu: list[tuple[float, float]] = []  # of a core: the API's, the workers'

    async def prepare(self, count: int) -> None:
        """Makes people and posts, and opens the socket."""
        sources, now = self._sources, clock.now()
        author, *likers = await users(sources, 1 + LIKERS)
        ids = await posts(sources, [author] * count)
        tokens = [(await sources.sessions.open(liker, None, now))[1].access_token for liker in likers]
        self._requests = iter(
            [
                request_of(LIKE, tokens[number % LIKERS], {"id": to_global_id("Post", post_id)})
                for number, post_id in enumerate(ids)
            ]
        )
        token = (await sources.sessions.open(author, None, now))[1].access_token
        self._client = await connect(self._api.port, token, EVENT)
        await self._client.opened.wait()
        await asyncio.sleep(1)

    async def run(self, count: int, pause: float, *, keep: bool) -> None:
        """Likes one post after the other and waits for each to come."""
        client = self._client
        if client is None:
            raise RuntimeError("not prepared")
        cpu, waits = cpu_seconds(self._worker), []
        async with Caller.many(self._api.port, 1) as (caller,):
            for _ in range(count):
                expected, began = client.event_count + 1, time.perf_counter()
                await caller.ask(next(self._requests))

                async def has_come(expected: int = expected) -> bool:
                    return client.event_count >= expected

                await eventually(has_come, seconds=30, every=0.002)
                waits.append(client.came_at - began)
                await asyncio.sleep(pause)
        if keep:
            self.waits += waits
            self.worker_cpu.append((cpu_seconds(self._worker) - cpu) / count)

    async def idle(self, seconds: float) -> None:
        """Notes what the processes take while nothing happens."""
        before = self._api.cpu, cpu_seconds(self._worker)
        await asyncio.sleep(seconds)
        after = self._api.cpu, cpu_seconds(self._worker)
        self.idle_cpu.append(((after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds))


def main(
    before: Before = None,
    likes: Annotated[int, typer.Option(min=1, help="Likes of a round.")] = 40,
    pause: Annotated[float, typer.Option(min=0, help="Seconds between the arrival of one and the next.")] = 0.05,
    limit: Annotated[int, typer.Option("--rounds", min=1, help="Rounds.")] = 8,
    idle: Annotated[float, typer.Option(min=0, help="Seconds for which the processes are watched idle.")] = 10.0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Likes posts of an author who has a socket, in turns with an older checkout, and measures the way of each."""
    with servers() as settings, contextlib.ExitStack() as stack:
        sides = {}
        for name, path in compared(before).items():
            api = stack.enter_context(checkout_api(name, path, settings))
            sides[name] = api, stack.enter_context(_workers(path, api.settings))
        table = finish(_measure(list(sides.items()), likes, pause, limit, idle), LONGEST)
    show([table], ["pymongo", "redis"], markdown=markdown)


@contextlib.contextmanager
def _workers(checkout: Path, settings: Settings) -> Iterator[psutil.Process]:
    """All workers of a checkout in one process, as `photogram run` starts them."""
    command = (checkout / ".venv/bin/python", "-m", "deploy.cli", "worker")
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen(
            command, cwd=checkout, env=child_environment(settings), stdout=nowhere, stderr=nowhere
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


async def _measure(
    sides: Sequence[tuple[str, tuple[CheckoutApi, psutil.Process]]], likes: int, pause: float, limit: int, idle: float
) -> Table:
    async with contextlib.AsyncExitStack() as stack:
        prepared: dict[str, Side] = {}
        for name, (api, worker) in sides:
            prepared[name] = Side(api, worker, await stack.enter_async_context(stores(api.settings)))
            await prepared[name].prepare(likes * (limit + 1))
        for number in rounds(limit + 1, BUDGET):
            for side in prepared.values():
                await side.run(likes, pause, keep=number > 0)
        if idle:
            await asyncio.gather(*(side.idle(idle) for side in prepared.values()))
    table = Table(
        f"A like until it is at the author's socket, {pause * 1000:.0f} ms apart",
        ["", "p50 ms", "p90 ms", "p99 ms", "CPU ms of the workers a like", "idle: API, of a core", "workers"],
    )
    for name, side in prepared.items():
        waits = [f"{percentile(side.waits, percent) * 1000:.1f}" for percent in (50, 90, 99)]
        resting = [f"{share:.2%}" for share in side.idle_cpu[0]] if side.idle_cpu else ["", ""]
        table.rows.append([name, *waits, f"{median(side.worker_cpu) * 1000:.2f}", *resting])
    if len(prepared) > 1:
        now, old = (side.waits for side in prepared.values())
        ratio = f"{median(now) / median(old):.2f} x"
        table.rows.append(
            ["now / before", ratio, "", "", times(*(side.worker_cpu for side in prepared.values())), "", ""]
        )
    return table


if __name__ == "__main__":
    typer.run(main)
