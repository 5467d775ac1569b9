"""What explore and suggested posts gain in a small simulated world whose tastes are known. The simulation is seeded."""

import pytest

from benchmarks.exploring import EXPLORE, LIKED, NEWEST, ORDERS, SUGGESTED, TRUTH, World


@pytest.fixture(scope="module", params=[1, 2])
def world(request: pytest.FixtureRequest) -> World:
    return World.of(request.param, people=15, authors=400)


def precision(world: World, name: str) -> float:
    return world.gain(ORDERS[name])[0]


def test_explore_shows_twice_as_much_of_what_viewers_like_as_the_newest_posts(world: World) -> None:
    assert precision(world, EXPLORE) >= 2.0 * precision(world, NEWEST)
    assert precision(world, EXPLORE) >= 1.3 * precision(world, LIKED)


def test_suggested_posts_are_nearer_to_what_a_viewer_likes_than_explore(world: World) -> None:
    assert precision(world, SUGGESTED) >= 1.3 * precision(world, EXPLORE)


def test_fewer_posts_with_bought_likes_are_on_the_first_page_than_if_all_likes_counted(world: World) -> None:
    most_liked = world.gain(ORDERS[LIKED])[1]
    assert all(world.gain(ORDERS[name])[1] < most_liked for name in (EXPLORE, SUGGESTED))


def test_ordering_by_true_tastes_is_the_best(world: World) -> None:
    assert all(precision(world, name) <= precision(world, TRUTH) for name in ORDERS)
