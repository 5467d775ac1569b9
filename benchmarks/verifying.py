"""What `verify` costs beside a system at work: `python -m benchmarks.verifying`."""

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from random import Random
from typing import Annotated, Any

import msgspec
import typer
from bson import ObjectId

from benchmarks.lib.lags import ROOT, worker
from benchmarks.lib.liked import LIKE_POST
from benchmarks.lib.report import Table, median, percentile, rounds, show
from benchmarks.lib.stack import Api, finish, servers, session_of, stores
from benchmarks.lib.world import insert, posts, users
from config import Settings
from datasources.sources import Sources
from deploy.local.environment import child_environment
from domain.ids import to_global_id

PEOPLE = 2_000
POSTS = 4_000
THINKS = 0.1  # seconds between two likes of one caller
ALONE = 15.0  # seconds of likes without verify
WAYS: dict[str, tuple[str, ...] | None] = {
    "no verify": None,
    "verify": (),
    "verify --pause 0.02": ("--pause", "0.02"),
    "verify --sample 1000": ("--sample", "1000"),
}
BUDGET = 240.0
LONGEST = 900.0


class Round(msgspec.Struct, frozen=True):
    """What likes took, in seconds, while something went on, and what `verify` looked at, in what time and CPU."""

    likes: list[float]
    looked_at: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    found: int = 0


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 3,
    likes: Annotated[int, typer.Option(min=1, help="Likes there are to begin with.")] = 50_000,
    callers: Annotated[
        int, typer.Option(min=1, help="How many like meanwhile by GraphQL, ten times a second each.")
    ] = 4,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Holds what `likePost` takes with `verify` beside it against what it takes without."""
    with servers() as settings:
        tables = finish(_measure(settings, repeat, likes, callers), LONGEST)
    show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, repeat: int, likes: int, callers: int) -> list[Table]:
    measured: dict[str, list[Round]] = {way: [] for way in WAYS}
    async with stores(settings) as sources, worker(settings):
        liking = await _Liking.prepared(sources, likes, callers)
        for _ in rounds(repeat, BUDGET):
            for way, options in WAYS.items():
                measured[way].append(await _round(settings, liking, options))
    columns = ["likePost p50 ms", "p99 ms", "documents/s", "seconds", "CPU ms of 1,000 documents", "findings"]
    table = Table(f"verify beside {callers} who like, {likes:,} likes, {POSTS:,} posts", ["way", *columns])
    table.rows += [_row(way, of) for way, of in measured.items()]
    return [table]


def _row(way: str, of: list[Round]) -> list[str]:
    waits = [f"{median([percentile(one.likes, percent) * 1000 for one in of]):,.1f}" for percent in (50, 99)]
    if not of[0].looked_at:
        return [way, *waits, "", "", "", ""]
    return [
        way,
        *waits,
        f"{median([one.looked_at / one.seconds for one in of]):,.0f}",
        f"{median([one.seconds for one in of]):.1f}",
        f"{median([one.cpu / one.looked_at * 1_000_000 for one in of]):.0f}",
        f"{max(one.found for one in of)}",
    ]


class _Liking:
    """Posts with likes that everybody was told of, and people who go on liking them."""

    def __init__(self, sources: Sources, post_ids: list[ObjectId], callers: int) -> None:
        self._api = Api(sources)
        self._post_ids = post_ids
        self._callers = callers
        self._random = Random(1)

    @classmethod
    async def prepared(cls, sources: Sources, likes: int, callers: int) -> "_Liking":
        people = await users(sources, PEOPLE)
        post_ids = await posts(sources, people * (POSTS // PEOPLE))
        await sources.database["posts"].update_many({}, {"$set": {"images.$[].renditions": []}})  # storage has no files
        await sources.database["users"].update_many({}, {"$set": {"post_count": POSTS // PEOPLE}})
        marks = {"liked": True, "counted": True, "notified": False, "version": 1}
        rows: list[dict[str, Any]] = [
            {"target_id": post_ids[number % POSTS], "user_id": people[number // POSTS], **marks}
            for number in range(likes)
        ]
        await insert(sources, "post_likes", rows)
        for post_id, number in Counter(row["target_id"] for row in rows).items():
            await sources.database["posts"].update_one({"_id": post_id}, {"$set": {"like_count": number}})
        return cls(sources, post_ids, callers)

    async def until(self, over: asyncio.Event) -> list[float]:
        """How long each like took, in seconds."""
        taken: list[float] = []

        async def call() -> None:
            while not over.is_set():
                began = time.perf_counter()
                post_id = to_global_id("Post", self._random.choice(self._post_ids))
                await self._api.run(LIKE_POST, session_of(ObjectId()), id=post_id)
                taken.append(time.perf_counter() - began)
                await asyncio.sleep(THINKS)

        await asyncio.gather(*(call() for _ in range(self._callers)))
        return taken


async def _round(settings: Settings, liking: _Liking, options: tuple[str, ...] | None) -> Round:
    over = asyncio.Event()
    likes = asyncio.create_task(liking.until(over))
    try:
        if options is None:
            await asyncio.sleep(ALONE)
            report, cpu = None, 0.0
        else:
            report, cpu = await _verify(settings, options)
    finally:
        over.set()
        taken = await likes
    if report is None:
        return Round(taken)
    return Round(taken, sum(report["checked"].values()), report["seconds"], cpu, report["found"])


async def _verify(settings: Settings, options: tuple[str, ...]) -> tuple[Any, float]:
    """Its report, and the processor seconds of its process, its start included."""
    before = _children_cpu()
    command = (sys.executable, "-m", "deploy.cli", "verify", "--json", *options)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=child_environment(settings), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return json.loads(out), _children_cpu() - before


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    typer.run(main)
