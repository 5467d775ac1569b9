"""What becomes of too many costly queries at once, and of cheap ones beside them: `python -m benchmarks.overload`."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from bson import ObjectId

from benchmarks.callers import Caller, Heard, Served, api, request_of
from benchmarks.report import Table, percentile, show
from benchmarks.stack import finish, servers, stores
from benchmarks.world import insert, users
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
    heard: list[Heard] = []
    async with Caller.many(served.port, at_once) as crowd, Caller.many(served.port, 2) as others:
        alone = [await crowd[0].ask(costly) for _ in range(ALONE)]
        before = await _again_and_again(others[0], cheap, 20 * ALONE)
        idle = served.memory
        async with served.peak() as peak:
            beside = [
                asyncio.create_task(_again_and_again(*each, None))
                for each in zip(others, (cheap, another), strict=True)
            ]
            for _ in range(rounds):
                heard += await asyncio.gather(*(caller.ask(costly) for caller in crowd))
            for task in beside:
                task.cancel()
            amid = await asyncio.gather(*beside)
    columns = ["answers", "p50 ms", "p99 ms", "longest ms"]
    table = Table(f"{at_once} costly queries at once, {rounds} times, and cheap ones beside them", ["", *columns])
    table.rows = [
        *_rows("costly, alone", alone),
        *_rows("costly, at once", heard),
        *_rows("cheap, alone", before),
        *_rows("cheap, beside them", amid[0]),
        *_rows("costly, somebody else's beside them", amid[1]),
    ]
    memory = Table("Memory of the API process", ["", "MiB"])
    memory.rows = [["before", f"{idle:.0f}"], ["most", f"{peak[0]:.0f}"], ["afterwards", f"{served.memory:.0f}"]]
    return [table, memory]


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
