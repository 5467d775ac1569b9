"""Which posts are suggested, and why."""

from datetime import UTC, datetime

import pytest
from bson import ObjectId

from domain.feed_ranking import SPAN, Candidate
from domain.interests import MANY, OFTEN, Interest
from domain.suggesting import hashtag_strengths, suggest_posts, suggestion_reason

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def post(author_id: ObjectId | None = None, *hashtags: str) -> Candidate:
    return Candidate(id=ObjectId(), author_id=author_id or ObjectId(), created_at=NOW, hashtags=hashtags)


def test_a_viewer_cares_about_the_hashtags_of_authors_they_like() -> None:
    dear, other = ObjectId(), ObjectId()
    feed = [post(dear, "sea", "sky"), post(dear, "sea"), post(other, "sky", "city")]
    assert hashtag_strengths(feed, {dear: 4.0}) == {"sea": 4.0, "sky": 2.0, "city": 0.0}


def test_without_interests_the_order_is_that_of_explore() -> None:
    posts = [post() for _ in range(20)]
    assert suggest_posts(enumerate(posts), {}, {}, 100) == posts
    assert suggest_posts(enumerate(posts), {}, {}, 5) == posts[:5]


def test_people_and_hashtags_that_the_viewer_cares_about_come_first() -> None:
    dear = ObjectId()
    posts = [post() for _ in range(20)]
    by_hashtag, by_author = post(None, "city", "sea"), post(dear)
    order = suggest_posts(enumerate([*posts, by_hashtag, by_author]), {dear: 20.0}, {"sea": 9.0}, 100)
    assert order[:2] == [by_author, by_hashtag]
    assert order[2:] == posts


def test_authors_take_turns() -> None:
    dear = ObjectId()
    placed = list(enumerate([post(dear) for _ in range(10)] + [post() for _ in range(30)]))
    order = suggest_posts(placed, {dear: 99.0}, {}, 100)
    assert sum(each.author_id == dear for each in order[:SPAN]) == 1


@pytest.mark.parametrize(
    ("interest", "like_count", "reason"),
    [
        (None, 0, "Suggested for you."),
        (None, MANY, "Suggested for you: many people like this."),
        (Interest(author_id=ObjectId(), strength=9, likes=OFTEN), 0, "Suggested for you: you often like ana's photos."),
        (Interest(author_id=ObjectId(), strength=9, likes=OFTEN - 1), 0, "Suggested for you."),
    ],
)
def test_the_reason_says_that_it_is_a_suggestion(interest: Interest | None, like_count: int, reason: str) -> None:
    assert suggestion_reason("ana", interest, like_count=like_count) == reason
