"""What becomes of too many costly queries at once, and of cheap ones beside them: `python -m benchmarks.overload`."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from bson import ObjectId

from benchmarks.lib.callers import Caller, Heard, Served, api, request_of
from benchmarks.lib.report import Table, percentile, show
from benchmarks.lib.stack import finish, servers, stores
from benchmarks.lib.world import insert, users
from config import Settings
from datasources.sources import Sources
from domain.ids import to_global_id

LONGEST = 300.0
CIRCLE = 60  # people who all follow each other: every page of the costly query is full
COSTLY = """query ($id: ID!) { node(id: $id) { ... on User { followers(first: 50) { edges { node {
  id username displayName followers(first: 50) { edges { node { id username displayName createdAt } } } } } } } } }"""
CHEAP = "{ viewer { user { id username } } }"
PAUSE = 0.02  # between two queries of who asks beside the crowd
ALONE = 10


def main(
    at_once: Annotated[int, typer.Option(min=1, help="Costly queries at once.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Bursts, one after the other.")] = 3,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Sends costly queries, all at once, to one API process over HTTP, with one caller of cheap ones beside them."""
    with servers() as settings:
        tokens, node = finish(_world(settings), LONGEST)
        with api(settings) as served:
            tables = finish(_measure(served, at_once, rounds, tokens, node), LONGEST)
    show(tables, ["starlette", "uvicorn", "strawberry-graphql"], markdown=markdown)


async def _world(settings: Settings) -> tuple[list[str], str]:
    async with stores(settings) as sources:
        people = await users(sources, CIRCLE)
        rows = [follow_of(one, other, slot) for one in people for slot, other in enumerate(people) if one != other]
        await insert(sources, "follows", rows)
        return [await token_of(sources, one) for one in people[:2]], to_global_id("User", people[0])


def follow_of(follower: ObjectId, followee: ObjectId, slot: int) -> dict[str, object]:
    ends = {"follower_id": follower, "followee_id": followee}
    return {"_id": ObjectId(), **ends, "state": "FOLLOWING", "slot": slot, "version": 1, "counted": True}


async def token_of(sources: Sources, user_id: ObjectId) -> str:
    return (await sources.sessions.open(user_id, None, ObjectId().generation_time))[1].access_token


async def _measure(served: Served, at_once: int, rounds: int, tokens: list[str], node: str) -> list[Table]:
    costly, cheap = request_of(COSTLY, tokens[0], {"id": node}), request_of(CHEAP, tokens[1])
    another = request_of(COSTLY, tokens[1], {"id": node})
    async with Caller.many(served.port, 1) as (first,):
        alone = [await first.ask(costly) for _ in range(ALONE)]
        before = await _again_and_again(first, cheap, 20 * ALONE)
    idle = served.memory
    async with served.peak() as peak:
        heard, amid = await _bursts(served.port, [costly] * at_once, rounds, [cheap])
        again, others = await _bursts(served.port, [costly] * at_once, rounds, [another])
    columns = ["answers", "p50 ms", "p99 ms", "longest ms"]
    table = Table(f"{at_once} costly queries at once, {rounds} times", ["", *columns])
    table.rows = [
        *_rows("costly, alone", alone),
        *_rows("costly, at once", heard),
        *_rows("cheap, alone", before),
        *_rows("cheap, beside them", amid[0]),
        *_rows("costly, at once, while somebody else's run", again),
        *_rows("somebody else's beside them", others[0]),
    ]
    memory = Table("Memory of the API process", ["", "MiB"])
    memory.rows = [["before", f"{idle:.0f}"], ["most", f"{peak[0]:.0f}"], ["afterwards", f"{served.memory:.0f}"]]
    return [table, memory]


async def _bursts(
    port: int, requests: Sequence[bytes], rounds: int, beside: Sequence[bytes]
) -> tuple[list[Heard], list[list[Heard]]]:
    """The answers to all requests at once, in rounds, and those to each one sent again and again beside them."""
    heard: list[Heard] = []
    async with Caller.many(port, len(beside)) as others:
        tasks = [asyncio.create_task(_again_and_again(*each, None)) for each in zip(others, beside, strict=True)]
        for _ in range(rounds):
            async with Caller.many(port, len(requests)) as crowd:  # anew: connections that idle are closed
                asked = zip(crowd, requests, strict=True)
                heard += await asyncio.gather(*(caller.ask(request) for caller, request in asked))
        for task in tasks:
            task.cancel()
        return heard, list(await asyncio.gather(*tasks))


async def _again_and_again(caller: Caller, request: bytes, count: int | None) -> list[Heard]:
    heard: list[Heard] = []
    try:
        while count is None or len(heard) < count:
            heard.append(await caller.ask(request))
            await asyncio.sleep(PAUSE)
    except asyncio.CancelledError:
        pass
    return heard


def _rows(name: str, heard: Sequence[Heard]) -> list[list[str]]:
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
