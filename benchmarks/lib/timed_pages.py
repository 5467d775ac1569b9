"""What requests of several kinds take, in turns."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchmarks.lib.loads import Load, Stopwatch
from benchmarks.lib.report import Table, percentile, rounds

AT_A_TIME = 5


async def time_kinds(
    title: str, kinds: Mapping[str, Callable[[], Awaitable[Any]]], repeat: int, budget: float
) -> Table:
    """Rounds of all kinds in turn, each `AT_A_TIME` times, after one round that warms caches and plans.

    Up to `repeat` rounds, within `budget` seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    loads: dict[str, list[Load]] = {name: [] for name in kinds}
    for ask in kinds.values():
        for _ in range(AT_A_TIME):
            await ask()
    for _ in rounds(repeat, budget):
        for name, ask in kinds.items():
            watch = Stopwatch()
            for _ in range(AT_A_TIME):
                started = time.perf_counter()
                await ask()
                seconds[name].append(time.perf_counter() - started)
            loads[name].append(watch.load(AT_A_TIME))
    table = Table(title, ["", "p50 ms", "p99 ms", "CPU ms, ours", "CPU ms, MongoDB's", "times"])
    table.rows = [
        [
            name,
            f"{percentile(seconds[name], 50) * 1000:.1f}",
            f"{percentile(seconds[name], 99) * 1000:.1f}",
            f"{sum(load.own_cpu for load in loads[name]) / len(seconds[name]) * 1000:.2f}",
            f"{sum(load.mongo_cpu for load in loads[name]) / len(seconds[name]) * 1000:.2f}",
            f"{len(seconds[name])}",
        ]
        for name in kinds
    ]
    return table
