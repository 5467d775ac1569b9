"""Which posts are suggested to a viewer who has read what they follow, and why.

    score = (STRANGER + affinity) * 1 / (1 + place / PLACES)

The place is that in explore or, of posts by people whom the viewer cares about, among these. Affinity is to the author,
whom the viewer does not follow, and to that hashtag of the post which the viewer cares about most in their own feed.
"""

from collections.abc import Iterable, Mapping

from bson import ObjectId

from domain.feed_ranking import STRANGER, Candidate, affinity, spread_authors
from domain.interests import MANY, OFTEN, Interest

PLACES = 25  # places further down in explore that half the score
MAX_IN_SPAN = 1  # posts of one author of any ten in a row, as in explore


def hashtag_strengths(feed: Iterable[Candidate], strengths: Mapping[ObjectId, float]) -> dict[str, float]:
    """How much a viewer cares about hashtags: the mean interest in the authors of their feed who use each."""
    by_name: dict[str, dict[ObjectId, float]] = {}
    for post in feed:
        for name in post.hashtags:
            by_name.setdefault(name, {})[post.author_id] = strengths.get(post.author_id, 0.0)
    return {name: sum(of_authors.values()) / len(of_authors) for name, of_authors in by_name.items()}


def suggest_posts(
    placed: Iterable[tuple[int, Candidate]],
    strengths: Mapping[ObjectId, float],
    hashtags: Mapping[str, float],
    limit: int,
) -> list[Candidate]:
    """Up to `limit` of these posts, which are given with their places, best for the viewer first, authors spread."""

    def score(place: int, post: Candidate) -> float:
        strength = max((hashtags.get(name, 0.0) for name in post.hashtags), default=0.0)
        cared = affinity(strengths.get(post.author_id, 0.0) + strength)
        return (STRANGER + cared) / (1.0 + place / PLACES)

    return spread_authors(((score(place, post), post) for place, post in placed), MAX_IN_SPAN)[:limit]


def suggestion_reason(username: str, interest: Interest | None, *, like_count: int) -> str:
    """Why a post of somebody whom the viewer does not follow is in their ranked feed: a true sentence."""
    if interest is not None and interest.likes >= OFTEN:
        return f"Suggested for you: you often like {username}'s photos."
    return "Suggested for you: many people like this." if like_count >= MANY else "Suggested for you."
