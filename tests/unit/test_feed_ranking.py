"""The ranking's score and order, by property: monotone, deterministic, spread, and quick."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from domain.feed_ranking import MAX_PER_AUTHOR, SPAN, Candidate, affinity, freshness, popularity, rank_posts, score

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AUTHORS = [ObjectId(f"{number:024x}") for number in range(1, 9)]

strengths = st.floats(min_value=-1.0, max_value=1e12, allow_nan=False)
counts = st.integers(min_value=-3, max_value=2**62)
moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    ids = draw(st.lists(st.integers(0, 2**64), unique=True, max_size=60))
    authors = AUTHORS[: draw(st.integers(1, len(AUTHORS)))]
    return [
        Candidate(
            id=ObjectId(f"{number:024x}"),
            author_id=draw(st.sampled_from(authors)),
            created_at=draw(moments),
            like_count=draw(counts),
            comment_count=draw(counts),
        )
        for number in ids
    ]


tastes = st.dictionaries(st.sampled_from(AUTHORS), strengths)


def post(**given: Any) -> Candidate:
    return Candidate(**{"id": ObjectId(), "author_id": AUTHORS[0], "created_at": NOW, **given})


@given(candidates(), strengths)
def test_a_score_is_a_finite_number_and_not_negative(posts: list[Candidate], strength: float) -> None:
    assert all(math.isfinite(score(each, strength, NOW)) and score(each, strength, NOW) >= 0 for each in posts)


@given(moments, counts, counts, strengths, strengths)
def test_more_affinity_never_lowers_a_score(
    at: datetime, likes: int, comments: int, first: float, second: float
) -> None:
    candidate = post(created_at=at, like_count=likes, comment_count=comments)
    assert score(candidate, max(first, second), NOW) >= score(candidate, min(first, second), NOW)


@given(moments, moments, counts, counts, strengths)
def test_being_newer_never_lowers_a_score(
    first: datetime, second: datetime, likes: int, comments: int, strength: float
) -> None:
    older, newer = (post(created_at=at, like_count=likes, comment_count=comments) for at in sorted((first, second)))
    assert score(newer, strength, NOW) >= score(older, strength, NOW)


@pytest.mark.parametrize("name", ["like_count", "comment_count"])
@given(given=st.data())
def test_more_engagement_never_lowers_a_score(name: str, given: st.DataObject) -> None:
    few, many = sorted(given.draw(st.tuples(counts, counts)))
    candidate, strength = post(created_at=given.draw(moments)), given.draw(strengths)
    less, more = (msgspec.structs.replace(candidate, **{name: count}) for count in (few, many))
    assert score(more, strength, NOW) >= score(less, strength, NOW)


def test_each_input_changes_the_score_by_itself() -> None:
    """Otherwise a constant score would pass the tests above."""
    plain = score(post(), 0.0, NOW)
    assert score(post(), 1.0, NOW) > plain
    assert score(post(created_at=NOW - timedelta(hours=1)), 0.0, NOW) < plain
    assert score(post(like_count=1), 0.0, NOW) > plain
    assert score(post(comment_count=1), 0.0, NOW) > score(post(like_count=1), 0.0, NOW)


def test_the_parts_of_a_score_follow_the_weights() -> None:
    assert (affinity(0), affinity(3.0), affinity(-1)) == (0, 0.5, 0)
    assert freshness(timedelta(hours=24)) == 0.5
    assert freshness(timedelta(hours=-5)) == 1
    assert popularity(0, 0) == 1
    assert popularity(999, 0) == pytest.approx(1.75)


@given(candidates(), tastes, st.randoms())
def test_the_ranking_has_every_post_once_and_ignores_the_order_of_its_input(
    posts: list[Candidate], taste: dict[ObjectId, float], dice: Any
) -> None:
    order = rank_posts(posts, taste, NOW)
    shuffled = list(posts)
    dice.shuffle(shuffled)
    assert rank_posts(shuffled, taste, NOW) == order
    assert sorted(each.id for each in order) == sorted(each.id for each in posts)


@given(candidates(), tastes)
def test_no_author_has_more_than_a_few_in_a_row_while_others_have_any_left(
    posts: list[Candidate], taste: dict[ObjectId, float]
) -> None:
    order = rank_posts(posts, taste, NOW)
    for place, each in enumerate(order):
        before = Counter(other.author_id for other in order[max(0, place - SPAN + 1) : place])
        left = {other.author_id for other in order[place:]}
        if before[each.author_id] >= MAX_PER_AUTHOR:
            assert all(before[author_id] >= MAX_PER_AUTHOR for author_id in left)


@given(candidates(), tastes)
def test_an_authors_own_posts_are_in_the_order_of_their_scores(
    posts: list[Candidate], taste: dict[ObjectId, float]
) -> None:
    order = rank_posts(posts, taste, NOW)
    for author_id in AUTHORS:
        own = [score(each, taste.get(author_id, 0.0), NOW) for each in order if each.author_id == author_id]
        assert own == sorted(own, reverse=True)


def test_without_interests_the_newest_come_first_and_ties_go_to_the_newest_id() -> None:
    posts = [post(author_id=author, created_at=NOW - timedelta(hours=n)) for n, author in enumerate(AUTHORS)]
    duplicate = post(id=ObjectId("f" * 24), author_id=ObjectId())
    assert rank_posts([*posts[::-1], duplicate], {}, NOW) == [duplicate, *posts]


def test_a_dear_author_comes_before_fresher_strangers_but_not_for_ever() -> None:
    dear, stranger = AUTHORS[:2]
    yesterday, last_week = (post(author_id=dear, created_at=NOW - timedelta(days=days)) for days in (1, 7))
    fresh = post(author_id=stranger)
    assert rank_posts([fresh, yesterday, last_week], {dear: 30.0}, NOW) == [yesterday, fresh, last_week]


class _Compared(int):
    """A number that counts how often it is compared, as sorting and heaps do."""

    times = 0

    def __lt__(self, other: int) -> bool:
        _Compared.times += 1
        return int(self) < int(other)


@pytest.mark.parametrize("authors", [1, 3, 1_000])
def test_ranking_takes_n_log_n_steps(authors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 3_000
    posts = [
        post(author_id=ObjectId(f"{number % authors:024x}"), created_at=NOW - timedelta(minutes=number))
        for number in range(count)
    ]
    monkeypatch.setattr("domain.feed_ranking._best_first", lambda scored: _Compared(-int(scored[0] * 2**52)))
    _Compared.times = 0
    assert len(rank_posts(posts, {}, NOW)) == count
    assert 0 < _Compared.times < 10 * count * math.log2(count)
