"""Ways of counting likes, on one hot post: `python -m benchmarks.counting` (docs/adr/0004)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Annotated

import typer
from bson import ObjectId

from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.stack import Load, Stopwatch, finish, servers, stores
from config import Settings
from datasources.jobs.outbox import pending_fields
from datasources.mongo.client import Session
from datasources.sources import Sources
from domain.jobs import Task

TURN = 0.8  # seconds that one way likes at a stretch
BUDGET = 30.0  # seconds of rounds
SHARDS = 16
LONGEST = 120.0
BARE = "insert alone"

Act = Callable[[], Awaitable[object]]


class Ways:
    """One hot post, and ways to record that somebody new likes it."""

    def __init__(self, sources: Sources, seed: int) -> None:
        self._sources = sources
        self._posts, self._shards = sources.database["hot_posts"], sources.database["hot_shards"]
        self._likes = sources.database["hot_likes"]
        self._post_id = ObjectId()
        self._random = Random(seed)
        self.tries = 0

    async def prepare(self) -> None:
        """Makes the post, its counter's shards and the rule that one likes it once."""
        await self._likes.create_index([("target_id", 1), ("user_id", 1)], unique=True)
        await self._posts.insert_one({"_id": self._post_id, "like_count": 0})
        await self._shards.insert_many([{"_id": number, "like_count": 0} for number in range(SHARDS)])

    async def insert(self, session: Session | None = None) -> None:
        """The like alone: what no counting costs."""
        like = {"target_id": self._post_id, "user_id": ObjectId(), "liked": True}
        await self._likes.insert_one(like, session=session)

    async def increment_in_transaction(self) -> None:
        """Exact, and every like of the post waits for every other."""
        await self._in_transaction(self._increment)

    async def increment_afterwards(self) -> None:
        """Two writes: a crash between them miscounts for ever."""
        await self.insert()
        await self._increment(None)

    async def increment_shard_in_transaction(self) -> None:
        """Exact; the count is the sum over the shards, for every reader."""

        async def one(session: Session) -> None:
            shard = {"_id": self._random.randrange(SHARDS)}
            await self._shards.update_one(shard, {"$inc": {"like_count": 1}}, session=session)

        await self._in_transaction(one)

    async def insert_pending(self) -> None:
        """Fact and outbox in one document, for a worker to count."""
        pending = pending_fields([Task.COUNT, Task.NOTIFY], datetime.now(UTC))
        await self._sources.database["owing_likes"].insert_one({"user_id": ObjectId(), "liked": True, **pending})

    async def like(self) -> None:
        """As Photogram does: a set-like upsert that owes, committed in groups, and the ring."""
        await self._sources.post_likes.like(self._post_id, ObjectId(), datetime.now(UTC))

    async def _increment(self, session: Session | None) -> None:
        await self._posts.update_one({"_id": self._post_id}, {"$inc": {"like_count": 1}}, session=session)

    async def _in_transaction(self, count: Callable[[Session], Awaitable[None]]) -> None:
        async def work(session: Session) -> None:
            self.tries += 1
            await self.insert(session)
            await count(session)

        async with self._sources.client.start_session() as session:
            await session.with_transaction(work)


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 5,
    callers: Annotated[int, typer.Option(min=1, help="How many like at the same time.")] = 32,
    seed: Annotated[int, typer.Option(help="Which shard is counted in.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Likes one post in each of the ways in turn."""
    with servers() as settings:
        table = finish(_measure(settings, repeat, callers, seed), LONGEST)
    show([table], ["pymongo"], markdown=markdown)


async def _measure(settings: Settings, repeat: int, callers: int, seed: int) -> Table:
    async with stores(settings) as sources:
        ways = Ways(sources, seed)
        await ways.prepare()
        acts: dict[str, Act] = {
            BARE: ways.insert,
            "insert and $inc, one transaction": ways.increment_in_transaction,
            "insert, then $inc": ways.increment_afterwards,
            f"insert and $inc of one of {SHARDS} shards, one transaction": ways.increment_shard_in_transaction,
            "insert with its outbox": ways.insert_pending,
            "LikeStore.like": ways.like,
        }
        loads: dict[str, list[Load]] = {name: [] for name in acts}
        tries: dict[str, int] = dict.fromkeys(acts, 0)
        for _ in rounds(repeat, BUDGET):
            for name, act in acts.items():
                before = ways.tries
                loads[name].append(await _drive(act, callers))
                tries[name] += ways.tries - before
    columns = ["way", "likes/s", "CPU ms, ours", "CPU ms, MongoDB's", "tries a like", "rate against bare"]
    table = Table(f"Likes of one post, {callers} callers in one process", columns)
    table.rows += [_row(name, of, tries[name], loads[BARE]) for name, of in loads.items()]
    return table


def _row(name: str, loads: list[Load], tries: int, bare: list[Load]) -> list[str]:
    done = sum(load.done for load in loads)
    return [
        name,
        f"{median([load.rate for load in loads]):,.0f}",
        f"{median([load.own_cpu / load.done * 1000 for load in loads]):.2f}",
        f"{median([load.mongo_cpu / load.done * 1000 for load in loads]):.2f}",
        f"{(tries or done) / done:.1f}",
        times([load.rate for load in loads], [load.rate for load in bare]),
    ]


async def _drive(act: Act, callers: int) -> Load:
    end, done = time.monotonic() + TURN, 0

    async def call() -> None:
        nonlocal done
        while time.monotonic() < end:
            await act()
            done += 1

    watch = Stopwatch()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    return watch.load(done)


if __name__ == "__main__":
    typer.run(main)
