"""Ways of doing the same that take turns, and the processor time that each of them takes."""

import sys
from collections.abc import Awaitable, Callable, Mapping

from benchmarks.lib.report import rounds

TURN = 0.5  # processor seconds, about, of one way at a stretch
TRIAL = 20  # times, to see how long it takes
WARMING = 3  # turns before anything counts: compilers compile what they have seen often
FEWEST, MOST = 5, 5_000  # times at a stretch

Cost = tuple[float, ...]
"""Processor seconds for each time: of the process that is compared, then of those that it uses."""

Way = Callable[[int], Awaitable[Cost]]
"""Does something so many times, and tells what one time has cost."""


async def take_turns(ways: Mapping[str, Way], repeat: int, seconds: float) -> dict[str, list[Cost]]:
    """What each way costs, one figure a round: forth and back, `repeat` rounds at most, for about these seconds."""
    counts: dict[str, int] = {}
    for name, way in ways.items():
        trial = await way(TRIAL)
        for _ in range(WARMING):
            counts[name] = max(FEWEST, min(MOST, round(TURN / max(trial[0], 1e-6))))
            trial = await way(counts[name])
        print(f"{name}: {trial[0] * 1000:.3f} ms, {counts[name]} times a round", file=sys.stderr)
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in rounds(repeat, seconds):
        for name in ways if number % 2 == 0 else reversed(list(ways)):
            costs[name].append(await ways[name](counts[name]))
    return costs
