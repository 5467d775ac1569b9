"""Which hashtags trend: those that rise against their own past."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from domain.trending import HALF_LIFE, MIN_AUTHORS, PAST, Use, recent_authors, rising, trend_score

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_each_author_counts_once_by_their_latest_use_and_few_authors_do_not() -> None:
    authors = [ObjectId() for _ in range(MIN_AUTHORS)]
    uses = [Use("sea", author, NOW) for author in authors]
    uses += [Use("sea", authors[0], NOW - timedelta(hours=hours)) for hours in range(24)]
    uses += [Use("alone", authors[0], NOW)] * 50 + [Use("few", author, NOW) for author in authors[1:]]
    assert recent_authors(uses, NOW) == {"sea": MIN_AUTHORS}
    assert recent_authors(uses, NOW + HALF_LIFE) == {"sea": pytest.approx(MIN_AUTHORS / 2)}


def test_a_hashtag_that_is_as_popular_as_ever_does_not_trend() -> None:
    authors = [ObjectId() for _ in range(240)]
    steady = [Use("sky", author, NOW - DAY * number / 240) for number, author in enumerate(authors)]
    people = recent_authors(steady, NOW)["sky"]
    assert trend_score(people, 240 * (PAST // DAY), DAY) == pytest.approx(0, abs=0.3)
    # A worker counts 1,000 uses of these days at most, and says in which time they came.
    assert trend_score(people, 1_000, DAY, DAY * 1_000 / 240) == pytest.approx(0, abs=0.3)
    assert trend_score(people, 24 * (PAST // DAY), DAY) > 10


def test_twice_as_many_of_a_popular_one_rise_more_than_a_few_of_a_new_one() -> None:
    assert trend_score(200, 1_000, DAY) > trend_score(5, 0, DAY) > trend_score(3, 0, DAY) > 0
    assert trend_score(3, 70, DAY) < 0


def test_the_best_come_first_and_what_falls_is_left_out() -> None:
    scores = {"b": 2.0, "a": 2.0, "c": 5.0, "down": -1.0, "same": 0.0}
    assert rising(scores, 10) == ["c", "a", "b"]
    assert rising(scores, 1) == ["c"]
