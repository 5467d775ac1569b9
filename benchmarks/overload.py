"""How an API process answers too many costly queries at once, and cheap ones too: `python -m benchmarks.overload`."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from bson import ObjectId

from benchmarks.lib.documents import follow, insert, users
from benchmarks.lib.http_callers import Answer, Caller, request_of
from benchmarks.lib.report import Table, percentile, show
from benchmarks.lib.servers import finish, servers, stores
from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources
from domain.ids import to_global_id
from tests.support.api_process import ApiProcess, api_process

LONGEST = 300.0
MIB = 1024**2
CIRCLE = 60  # people who all follow each other: every page of the costly query is full
COSTLY = """query ($id: ID!) { node(id: $id) { ... on User { followers(first: 50) { edges { node {
  id username displayName followers(first: 50) { edges { node { id username displayName createdAt } } } } } } } } }"""
CHEAP = "{ viewer { user { id username } } }"
PAUSE = 0.02  # between two queries of the caller beside the others
ALONE = 10


def main(
    at_once: Annotated[int, typer.Option(min=1, help="Costly queries at once.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Bursts, one after the other.")] = 3,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Sends costly queries, all at once, to one API process over HTTP, with one caller of cheap ones beside them."""
    with servers() as settings:
        tokens, node = finish(_world(settings), LONGEST)
        with api_process(settings) as api:
            tables = finish(_measure(api, at_once, rounds, tokens, node), LONGEST)
    show(tables, ["starlette", "uvicorn", "strawberry-graphql"], markdown=markdown)


async def _world(settings: Settings) -> tuple[list[str], str]:
    async with stores(settings) as sources:
        people = await users(sources, CIRCLE)
        rows = [follow(user, other, slot) for user in people for slot, other in enumerate(people) if user != other]
        await insert(sources, "follows", rows)
        return [await _token(sources, user_id) for user_id in people[:2]], to_global_id("User", people[0])


async def _token(sources: Sources, user_id: ObjectId) -> str:
    return (await sources.sessions.open(user_id, None, clock.now()))[1].access_token


async def _measure(api: ApiProcess, at_once: int, rounds: int, tokens: list[str], node: str) -> list[Table]:
    costly, cheap = request_of(COSTLY, tokens[0], {"id": node}), request_of(CHEAP, tokens[1])
    another = request_of(COSTLY, tokens[1], {"id": node})
    async with Caller.many(api.port, 1) as (first,):
        alone = [await first.ask(costly) for _ in range(ALONE)]
        before = await _again_and_again(first, cheap, 20 * ALONE)
    idle = api.memory
    async with api.peak_memory() as peak:
        crowd, cheap_beside = await _bursts(api.port, [costly] * at_once, rounds, [cheap])
        again, others = await _bursts(api.port, [costly] * at_once, rounds, [another])
    columns = ["answers", "p50 ms", "p99 ms", "longest ms"]
    table = Table(f"{at_once} costly queries at once, {rounds} times", ["", *columns])
    table.rows = [
        *_rows("costly, alone", alone),
        *_rows("costly, at once", crowd),
        *_rows("cheap, alone", before),
        *_rows("cheap, beside them", cheap_beside[0]),
        *_rows("costly, at once, while somebody else's run", again),
        *_rows("somebody else's beside them", others[0]),
    ]
    memory = Table("Memory of the API process", ["", "MiB"])
    memory.rows = [
        ["before", f"{idle / MIB:.0f}"],
        ["at most", f"{peak[0] / MIB:.0f}"],
        ["afterwards", f"{api.memory / MIB:.0f}"],
    ]
    return [table, memory]


async def _bursts(
    port: int, requests: Sequence[bytes], rounds: int, beside: Sequence[bytes]
) -> tuple[list[Answer], list[list[Answer]]]:
    """The answers to all requests at once, in rounds, and those to each one sent again and again beside them."""
    heard: list[Answer] = []
    async with Caller.many(port, len(beside)) as others:
        tasks = [asyncio.create_task(_again_and_again(*each, None)) for each in zip(others, beside, strict=True)]
        for _ in range(rounds):
            async with Caller.many(port, len(requests)) as callers:  # anew: connections that idle are closed
                asked = zip(callers, requests, strict=True)
                heard += await asyncio.gather(*(caller.ask(request) for caller, request in asked))
        for task in tasks:
            task.cancel()
        return heard, list(await asyncio.gather(*tasks))


async def _again_and_again(caller: Caller, request: bytes, count: int | None) -> list[Answer]:
    heard: list[Answer] = []
    try:
        while count is None or len(heard) < count:
            heard.append(await caller.ask(request))
            await asyncio.sleep(PAUSE)
    except asyncio.CancelledError:
        pass
    return heard


def _rows(name: str, heard: Sequence[Answer]) -> list[list[str]]:
    outcomes = Counter(each.outcome for each in heard)
    return [
        _row(f"{name}: {outcome}", [each.seconds for each in heard if each.outcome == outcome])
        for outcome in sorted(outcomes)
    ]


def _row(name: str, seconds: Sequence[float]) -> list[str]:
    shown = (percentile(seconds, 50), percentile(seconds, 99), max(seconds))
    return [name, str(len(seconds)), *(f"{each * 1000:.0f}" for each in shown)]


if __name__ == "__main__":
    typer.run(main)
