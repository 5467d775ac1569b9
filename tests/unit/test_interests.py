"""Interests computed from activity: what counts how much and for how long, and which reasons follow from it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from domain.interests import (
    AUTHORS_KEPT,
    HALF_LIFE,
    LATELY,
    OFTEN,
    Act,
    ActKind,
    Interest,
    compute_interests,
    decay,
    feed_reason,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANA, BOB = ObjectId(), ObjectId()


def acts(kind: ActKind, count: int, *, author: ObjectId = ANA, age: timedelta = timedelta(0)) -> list[Act]:
    return [Act(author, kind, NOW - age)] * count


def reason_for(interest: Interest | None, username: str, **given: Any) -> str:
    return feed_reason(username, interest, **{"like_count": 0, "is_own": False, **given})


def strength(*done: Act) -> float:
    (interest,) = compute_interests(done, NOW)
    return interest.strength


def test_a_viewer_without_activity_has_no_interests() -> None:
    assert compute_interests([], NOW) == []


def test_a_comment_counts_more_than_a_like_and_a_like_more_than_a_visit() -> None:
    comment, like, visit = (strength(*acts(kind, 1)) for kind in (ActKind.COMMENT, ActKind.LIKE, ActKind.VISIT))
    assert comment > like > visit > 0


def test_an_action_counts_half_after_a_half_life() -> None:
    assert strength(*acts(ActKind.LIKE, 1, age=HALF_LIFE)) == pytest.approx(strength(*acts(ActKind.LIKE, 1)) / 2)
    assert decay(timedelta(days=-1)) == 1


def test_recent_activity_outweighs_old_activity() -> None:
    old_love = acts(ActKind.LIKE, 10, author=ANA, age=timedelta(days=180))
    new_love = acts(ActKind.LIKE, 2, author=BOB)
    assert [interest.author_id for interest in compute_interests([*old_love, *new_love], NOW)] == [BOB, ANA]


def test_the_order_of_actions_does_not_matter_to_the_last_bit() -> None:
    dice = random.Random(5)
    done = [
        Act(dice.choice([ANA, BOB]), dice.choice(list(ActKind)), NOW - timedelta(seconds=dice.randrange(10**7)))
        for _ in range(300)
    ]
    first = compute_interests(done, NOW)
    for _ in range(5):
        dice.shuffle(done)
        assert compute_interests(done, NOW) == first


def test_only_the_strongest_interests_are_kept() -> None:
    dear = acts(ActKind.COMMENT, 1)
    many = [Act(ObjectId(), ActKind.VISIT, NOW) for _ in range(AUTHORS_KEPT + 5)]
    interests = compute_interests([*many, *dear], NOW)
    assert len(interests) == AUTHORS_KEPT
    assert interests[0].author_id == ANA


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (ActKind.LIKE, "You often like ana's photos."),
        (ActKind.COMMENT, "You often comment on ana's photos."),
        (ActKind.VISIT, "You often look at ana's profile."),
    ],
)
def test_a_reason_is_given_only_for_frequent_recent_activity(kind: ActKind, sentence: str) -> None:
    assert reason_for(compute_interests(acts(kind, OFTEN), NOW)[0], "ana") == sentence
    assert reason_for(compute_interests(acts(kind, OFTEN - 1), NOW)[0], "ana") == "You follow ana."
    long_ago = acts(kind, OFTEN, age=LATELY + timedelta(seconds=1))
    assert reason_for(compute_interests(long_ago, NOW)[0], "ana") == "You follow ana."


def test_without_frequent_activity_the_reason_is_following_popularity_or_authorship() -> None:
    assert reason_for(None, "ana") == "You follow ana."
    assert reason_for(compute_interests(acts(ActKind.COMMENT_LIKE, 9), NOW)[0], "ana") == "You follow ana."
    assert reason_for(None, "ana", like_count=10) == "Many people like this."
    assert reason_for(None, "ana", like_count=10, is_own=True) == "You posted this."


def test_an_interest_is_stored_as_it_is() -> None:
    (interest,) = compute_interests(acts(ActKind.LIKE, 4), NOW)
    assert Interest.from_document(interest.to_document()) == interest
