"""What limits cost an operation: `python -m benchmarks.rate_limits`."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from bson import ObjectId

from benchmarks.lib.report import Table, median, rounds, show, times
from config import Settings
from datasources.rate_limits.limiters import RateLimiters
from datasources.redis.roles import RedisRoles, open_roles
from datasources.telemetry.logs import configure_logging
from deploy.local.servers import local_servers
from domain.rate_limits import MEMBER, Action, Subject
from resolvers.transport.answer_size import count_fields

TURN = 1_000  # calls of one way at a stretch
BUDGET = 30.0  # seconds of rounds
NOWHERE = "http://127.0.0.1:1"  # of servers that are not needed, so that they are not started
COLUMNS = ["of one operation", "mean, us", "CPU, us", "against a PING"]
PAGE = {
    "edges": [
        {
            "cursor": "x",
            "node": {
                **dict.fromkeys(("id", "caption", "createdAt", "likeCount", "commentCount", "viewerHasLiked"), "x"),
                "author": dict.fromkeys(("id", "username", "displayName", "isPrivate"), "x"),
                "images": [{"id": "x", "renditions": [dict.fromkeys(("url", "width", "height"), "x")] * 4}],
                "previewComments": [{"id": "x", "text": "x", "author": {"id": "x", "username": "x"}}] * 2,
            },
        }
    ]
    * 20
}

Way = Callable[[], Awaitable[object]]


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 9,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Takes points and counts uses on one Valkey server, in turn with a PING."""
    configure_logging("console", "ERROR")
    settings = Settings(environment="test", mongo_url=NOWHERE, s3_endpoint_url=NOWHERE, rate_limit_factor=20_000)
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder), settings) as running,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        table = runner.run(_measure(running, repeat))
    show([table], ["redis", "hiredis"], markdown=markdown)


async def _measure(settings: Settings, repeat: int) -> Table:
    async with _opened(settings) as roles:
        ways = _ways(settings, roles)
        elapsed: dict[str, list[float]] = {name: [] for name in ways}
        cpu: dict[str, list[float]] = {name: [] for name in ways}
        for _ in rounds(repeat, BUDGET):
            for name, way in ways.items():
                began, used = time.perf_counter(), time.process_time()
                for _ in range(TURN):
                    await way()
                elapsed[name].append((time.perf_counter() - began) / TURN)
                cpu[name].append((time.process_time() - used) / TURN)
    table = Table("Limits of one client, one Valkey server", COLUMNS)
    for name, seconds in elapsed.items():
        row = (f"{median(seconds) * 1e6:.1f}", f"{median(cpu[name]) * 1e6:.1f}", times(seconds, elapsed["a PING"]))
        table.rows.append([name, *row])
    return table


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[RedisRoles]:
    roles = open_roles(settings)
    try:
        async with roles.following():
            yield roles
    finally:
        await roles.aclose()


def _ways(settings: Settings, roles: RedisRoles) -> dict[str, Way]:
    async def role_of(_account: ObjectId) -> str:
        return MEMBER

    defaults = settings.model_copy(update={"rate_limit_factor": 1.0})
    limited, points = (RateLimiters(each, roles.cache, role_of) for each in (settings, defaults))
    account, token = ObjectId(), ObjectId()
    number = 0

    async def cheap_points() -> None:
        nonlocal account, token, number
        if number % 200 == 0:  # no client asks for more at once
            account, token = ObjectId(), ObjectId()
        number += 1
        charge = await points.points.take(account, token, "192.0.2.1", 20)
        charge.give_back(5)
        charge.throttle()

    async def count() -> int:
        return count_fields(PAGE)

    return {
        "a PING": roles.cache.all[0].ping,
        "points of a cheap operation, 200 of a client": cheap_points,
        f"fields of a page counted ({count_fields(PAGE)})": count,
        "a comment": lambda: limited.actions.take(Action.COMMENT, {Subject.ACCOUNT: account}, account),
        "a login, by name and address": lambda: limited.actions.take(
            Action.LOGIN, {Subject.NAME: "ana", Subject.ADDRESS: "192.0.2.1"}
        ),
    }


if __name__ == "__main__":
    typer.run(main)
