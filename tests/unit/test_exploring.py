"""The order of explore, and which likes count."""

from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from bson import ObjectId

from domain.exploring import (
    CIRCLE,
    MAX_EVIDENCE,
    NEW_ACCOUNT,
    Act,
    RecentPost,
    act_weight,
    counted_share,
    explore_order,
    explore_score,
    gather_evidence,
)
from domain.feed_ranking import HALF_LIFE, SPAN

NOW = datetime(2026, 11, 30, tzinfo=UTC)
OLD = timedelta(days=100)
POST = RecentPost(id=ObjectId(), author_id=ObjectId(), created_at=NOW)
ORDINARY = {"is_author": False, "is_restricted": False, "is_followed": False, "age": OLD}


def score(post: RecentPost = POST, share: float = 1.0, followers: int = 0, **changes: object) -> float:
    return explore_score(msgspec.structs.replace(post, **changes), share, followers, NOW)


def test_a_post_is_the_better_the_more_its_likes_count_the_newer_it_is_and_the_fewer_follow_its_author() -> None:
    liked = score(like_count=100)
    assert liked > score(like_count=50) > score() > 0
    assert score(share=0.5, like_count=100) < liked
    assert score(comment_count=50) == liked
    assert score(followers=10_000, like_count=100) < liked
    assert score(created_at=NOW - HALF_LIFE, like_count=100) == pytest.approx(liked / 2)


def test_likes_of_which_none_counts_change_nothing_however_many() -> None:
    assert score(share=0.0, like_count=10**6) == score()


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        ({}, 1.0),
        ({"is_followed": True}, CIRCLE),
        ({"is_author": True}, 0.0),
        ({"is_restricted": True}, 0.0),
        ({"age": NEW_ACCOUNT - timedelta(seconds=1)}, 0.0),
        ({"age": NEW_ACCOUNT}, 1.0),
    ],
)
def test_acts_of_new_and_restricted_accounts_and_of_the_author_count_nothing(
    change: dict[str, object], weight: float
) -> None:
    assert act_weight(**(ORDINARY | change)) == weight  # type: ignore[arg-type]


def test_the_share_is_that_of_the_people_who_count_and_few_people_are_doubted() -> None:
    people = [ObjectId() for _ in range(9)]
    done = dict.fromkeys(people, 1.0)
    assert counted_share(done, dict.fromkeys(people, 1.0)) == pytest.approx(0.9)
    assert counted_share(done, dict.fromkeys(people[:3], 1.0)) == pytest.approx(0.3)
    assert counted_share({people[0]: 1.0}, {people[0]: 1.0}) == pytest.approx(0.5)
    assert counted_share({}, {}) == counted_share(done, {}) == 0.0


def test_a_person_counts_once_and_only_the_first_people_are_looked_at() -> None:
    ana, bob = ObjectId(), ObjectId()
    acts = [Act(POST.id, ana, is_comment=True)] * 100 + [Act(POST.id, ana), Act(POST.id, bob)]
    assert gather_evidence(acts) == {POST.id: {ana: 2.0, bob: 1.0}}
    many = [Act(POST.id, ObjectId()) for _ in range(MAX_EVIDENCE + 5)]
    assert list(gather_evidence(many)[POST.id]) == [act.user_id for act in many[:MAX_EVIDENCE]]


def test_no_author_has_two_of_ten_while_others_have_some_and_the_order_is_that_of_the_posts() -> None:
    authors = [ObjectId() for _ in range(12)]
    posts = [
        RecentPost(id=ObjectId(), author_id=authors[0] if number < 12 else authors[number % 11 + 1], created_at=NOW)
        for number in range(45)
    ]
    scored = [(100.0 if post.author_id == authors[0] else 1.0, post) for post in posts]
    order = explore_order(scored, 40)
    assert len(order) == 40
    for start in range(20):
        assert sum(post.author_id == authors[0] for post in order[start : start + SPAN]) <= 1
    Random(3).shuffle(scored)
    assert explore_order(scored, 40) == order
