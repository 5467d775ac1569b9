"""Posts to few followers beside a post to very many: with and without a lane for the chunks of the large one."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from bson import ObjectId

from benchmarks.lib.fan_out_world import (
    ONE_QUEUE,
    PATIENCE,
    POLL,
    RELAY,
    WORKERS,
    author_with_followers,
    pending_among,
    publish,
    worker_processes,
)
from benchmarks.lib.report import Table, median, percentile
from datasources.sources import Sources
from domain.jobs import Fact
from tests.support.waiting import eventually

ORDINARY, AUTHORS = 200, 20  # followers, each other's
EVERY = 0.04  # seconds between two ordinary posts, in the mean
ALONE_SECONDS = 70.0  # MongoDB writes a checkpoint each minute, so one falls into both parts of a round


class Way(NamedTuple):
    """Processes of workers, what they run, and the setting `large_fan_out_pause`; None: what it is by itself."""

    processes: Sequence[Sequence[str]]
    module: str = WORKERS
    pause: float | None = None


WAYS: Mapping[str, Way] = {
    "one queue, two processes": Way([["feed", RELAY], ["feed"]], ONE_QUEUE, pause=0.0),
    "a lane, in a process of its own": Way([["feed", RELAY], ["large_fan_outs"]]),
    "a lane, both in one process": Way([["feed", RELAY, "large_fan_outs"]]),
    "a lane of its own without pauses": Way([["feed", RELAY], ["large_fan_outs"]], pause=0.0),
}
RECOMMENDED = {name: WAYS[name] for name in ["a lane, in a process of its own"]}


class Round(NamedTuple):
    """Seconds until the last follower has a post: ordinary ones alone and beside a large one, and the large one."""

    alone: list[float]
    beside: list[float]
    large: list[float]


class Stage:
    """The authors, and the posts that are on their way."""

    def __init__(self, sources: Sources, large: ObjectId, ordinary: Sequence[ObjectId]) -> None:
        self._sources = sources
        self._large, self._ordinary = large, ordinary
        self._chance = Random(1)
        self._begun: dict[ObjectId, tuple[float, list[float]]] = {}  # when, and where to note how long it took

    async def run(self) -> Round:
        """Ordinary posts for a while, and then as long as a large one takes."""
        done = Round([], [], [])
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            ends = time.perf_counter() + ALONE_SECONDS
            while time.perf_counter() < ends:
                await self._post_ordinary(done.alone)
            await self._post(self._large, done.large)
            while not done.large:
                await self._post_ordinary(done.beside)
            await eventually(self._is_over, seconds=PATIENCE, every=POLL)
            watching.cancel()
        return done

    async def _post_ordinary(self, seconds: list[float]) -> None:
        await self._post(self._chance.choice(self._ordinary), seconds)
        await asyncio.sleep(self._chance.expovariate(1 / EVERY))

    async def _post(self, author: ObjectId, seconds: list[float]) -> None:
        rows = await publish(self._sources, author)
        self._begun[rows[0]["_id"]] = time.perf_counter(), seconds
        await self._sources.job_queue.enqueue_pending(Fact.POST, rows)

    async def _is_over(self) -> bool:
        return not self._begun

    async def _watch(self) -> None:
        """Notes when the last follower has each post."""
        while True:
            await asyncio.sleep(POLL)
            asked = [*self._begun]
            left = await pending_among(self._sources, asked)
            for post_id in asked:
                if post_id not in left:
                    began, seconds = self._begun.pop(post_id)
                    seconds.append(time.perf_counter() - began)


async def measure_large_fan_outs(sources: Sources, followers: int, repeat: int, ways: Mapping[str, Way]) -> Table:
    """Rounds of these ways in turn."""
    large, _ = await author_with_followers(sources, followers)
    ordinary = [(await author_with_followers(sources, ORDINARY))[0] for _ in range(AUTHORS)]
    stage = Stage(sources, large, ordinary)
    rounds: dict[str, list[Round]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            changes = {} if way.pause is None else {"large_fan_out_pause": way.pause}
            async with worker_processes(sources, *way.processes, module=way.module, **changes):
                rounds[name].append(await stage.run())
    table = Table(
        f"Posts to {ORDINARY} followers beside one to {followers:,}: ms until the last follower has it",
        [
            "workers",
            "alone, p50",
            "alone, p99",
            "beside it, p50",
            "beside it, p99",
            "posts alone, beside it",
            "p99, ratio",
            "of the rounds",
            "the large post, s, p50",
            "p99",
        ],
    )
    table.rows += [_row(name, of) for name, of in rounds.items()]
    return table


def _row(name: str, rounds: Sequence[Round]) -> list[str]:
    large = [seconds for each in rounds for seconds in each.large]

    def of_rounds(percent: float, which: str) -> float:
        return median([percentile(getattr(each, which), percent) for each in rounds]) * 1000

    ratios = [percentile(each.beside, 99) / percentile(each.alone, 99) for each in rounds]
    posts = (sum(len(getattr(each, which)) for each in rounds) for which in ("alone", "beside"))
    return [
        name,
        *(f"{of_rounds(percent, which):,.1f}" for which in ("alone", "beside") for percent in (50, 99)),
        ", ".join(f"{count:,}" for count in posts),
        f"{median(ratios):.2f} x",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{percentile(large, 50):.1f}",
        f"{percentile(large, 99):.1f}",
    ]
