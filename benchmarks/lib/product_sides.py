"""The servers of `benchmarks.product`: checkouts of the API, and Mercurius, over one database."""

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from benchmarks.lib.checkouts import LAUNCHER, checkout_api
from benchmarks.lib.http_load import connected
from benchmarks.lib.loads import mongod, valkey
from benchmarks.lib.peer_install import node_folder
from benchmarks.lib.peer_processes import PORT, peer_process
from benchmarks.lib.product_requests import Operation
from benchmarks.lib.turns import Cost, Way
from config import Settings
from deploy.local.environment import child_environment
from tests.support.api_process import MeasuredProcess, cpu_seconds
from tests.support.stack import ROOT

NOW, MERCURIUS = "now", "Mercurius + graphql-jit (Node)"

Servers = Mapping[str, MeasuredProcess]


@contextlib.contextmanager
def product_sides(
    settings: Settings, before: Sequence[Path], also: Sequence[str], launcher: Sequence[str] = LAUNCHER
) -> Iterator[dict[str, MeasuredProcess]]:
    """API processes of this checkout, of it with other settings (`NAME=VALUE`), and of older ones."""
    database = settings.mongo_database
    with contextlib.ExitStack() as stack:

        def start(name: str, checkout: Path, variables: Mapping[str, str]) -> MeasuredProcess:
            api = checkout_api(name, checkout, settings, database=database, variables=variables, launcher=launcher)
            return stack.enter_context(api)

        sides = {NOW: start("now", ROOT, {})}
        for number, variable in enumerate(also):
            name, _, value = variable.partition("=")
            sides[f"{NOW}, {variable}"] = start(f"also{number}", ROOT, {name: value})
        for number, checkout in enumerate(before):
            name = f"before ({checkout.name})" if len(before) > 1 else "before"
            sides[name] = start(f"before{number}", checkout.resolve(), {})
        yield sides


@contextlib.contextmanager
def mercurius(settings: Settings) -> Iterator[MeasuredProcess]:
    """The peer over the same database, with keys of its own in Redis."""
    environment = child_environment(settings.model_copy(update={"key_prefix": "peer:"}))
    command = ["node", "product_server.mjs", PORT]
    with peer_process(command, environment | {"NODE_ENV": "production"}, folder=node_folder()) as process:
        yield process


def way(server: MeasuredProcess, operation: Operation, redis: Redis, *, cold: bool) -> Way:
    """Asks one request at a time; when `cold`, Redis is emptied before each, else each viewer has asked before.

    The costs are those of the server, of MongoDB and of Redis.
    """
    measured = [mongod(), valkey()]

    def spent() -> list[float]:
        return [server.cpu, *map(cpu_seconds, measured)]

    async def execute(count: int) -> Cost:
        costs = [0.0, 0.0, 0.0]
        async with connected(server.port, 1) as (connection,):
            for sample in () if cold else operation.samples:
                await connection.ask(sample)
            for request in itertools.islice(operation.requests, count):
                if cold:
                    await redis.flushdb()
                before = spent()
                body = await connection.ask(request)
                costs = [cost + after - began for cost, after, began in zip(costs, spent(), before, strict=True)]
                if _is_refused(body):
                    raise RuntimeError(f"{operation.name}: {body[:500]!r}")
        return tuple(cost / count for cost in costs)

    return execute


async def compare(servers: Servers, operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """The fields and bytes of each operation's data. Raises RuntimeError unless all give all viewers the same data.

    The order of keys counts. Of a mutation each server answers two requests of its own; ids, cursors and instants in it
    may differ.
    """
    sizes = {}
    for operation in operations:
        first: list[str] = []
        for name, server in servers.items():
            answers = [_comparable(body, operation) for body in await _ask(server, operation)]
            first = first or answers
            if answers != first:
                different = next(pair for pair in zip(first, answers, strict=True) if pair[0] != pair[1])
                raise RuntimeError(f"{operation.name}: {name} answers {different[1]}, not {different[0]}")
        sizes[operation.name] = _fields(json.loads(first[0])), len(first[0].encode())
    return sizes


async def _ask(server: MeasuredProcess, operation: Operation) -> list[bytes]:
    """The answers to all samples, twice: the second one comes from caches, or from a compiled operation."""
    requests = [*operation.samples, *operation.samples] or list(itertools.islice(operation.requests, 2))
    async with connected(server.port, 1) as (connection,):
        return [await connection.ask(request) for request in requests]


def _comparable(body: bytes, operation: Operation) -> str:
    if _is_refused(body):
        raise RuntimeError(f"{operation.name}: {body[:500]!r}")
    data = json.loads(body)["data"]
    return json.dumps(_masked(data) if operation.writes else data, separators=(",", ":"), ensure_ascii=False)


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {key: key if key in ("id", "cursor", "createdAt") else _masked(item) for key, item in value.items()}
    return value


def _is_refused(body: bytes) -> bool:
    return b'"errors":' in body or b'"userErrors":[{' in body


def _fields(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_fields, value))
    return sum(1 + _fields(item) for item in value.values()) if isinstance(value, dict) else 0
