"""What ranking gains in a small simulated world whose tastes are known. The simulation is seeded."""

from collections.abc import Sequence

import pytest

from benchmarks.lib.tastes import Viewer, viewers
from benchmarks.ranking import ORDERS, precision


@pytest.fixture(scope="module", params=[1, 2])
def world(request: pytest.FixtureRequest) -> Sequence[Viewer]:
    return viewers(request.param, count=15, authors=300, following=100, max_candidates=300)


def gain(world: Sequence[Viewer], name: str, *, over: str, bored: bool = False) -> float:
    return precision(world, ORDERS[name], bored=bored) / precision(world, ORDERS[over], bored=bored)


def test_ranked_shows_nearly_twice_as_much_of_what_viewers_like(world: Sequence[Viewer]) -> None:
    assert gain(world, "RANKED", over="LATEST") >= 1.8
    assert gain(world, "RANKED", over="LATEST", bored=True) >= 1.8


def test_most_of_the_gain_comes_from_affinity(world: Sequence[Viewer]) -> None:
    assert gain(world, "RANKED", over="RANKED without affinity") >= 1.6


def test_diversity_gains_where_repeats_bore_and_costs_little_where_they_do_not(world: Sequence[Viewer]) -> None:
    assert gain(world, "RANKED", over="RANKED without diversity", bored=True) >= 1.0
    assert gain(world, "RANKED", over="RANKED without diversity") >= 0.85


def test_ranking_by_true_tastes_is_the_best(world: Sequence[Viewer]) -> None:
    assert all(gain(world, name, over="by the truth itself") <= 1.0 for name in ORDERS)
