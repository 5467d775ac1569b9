"""Which hashtags trend: those used by more people than their own past lets expect.

    score = (people - expected) / sqrt(expected + SMOOTHING)

People are authors of different posts, each by the time since their latest use, which counts half after `HALF_LIFE`.
What is expected is what as many uses as in the days before would give in the same time. So a hashtag that is always
popular does not trend, and a few uses of a new one do not either.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from bson import ObjectId

HALF_LIFE = timedelta(hours=12)
SMOOTHING = 4.0
MIN_AUTHORS = 3  # with fewer it says who, rather than what
PAST = timedelta(days=7)


class Use(msgspec.Struct, frozen=True):
    """That an author used a hashtag."""

    name: str
    author_id: ObjectId
    at: datetime


def recent_authors(uses: Iterable[Use], now: datetime) -> dict[str, float]:
    """How many people use each hashtag now, each counted by their latest use; only of those that enough people use."""
    latest: dict[str, dict[ObjectId, datetime]] = {}
    for use in uses:
        by_author = latest.setdefault(use.name, {})
        by_author[use.author_id] = max(use.at, by_author.get(use.author_id, use.at))
    return {
        name: sum(_left(now - at) for at in authors.values())
        for name, authors in latest.items()
        if len(authors) >= MIN_AUTHORS
    }


def trend_score(people: float, past_uses: int, window: timedelta, past: timedelta = PAST) -> float:
    """How far a hashtag is above its own past, from so many uses in this time before the window; 0 is as ever."""
    expected = past_uses * (_weighted(window) / past)
    return (people - expected) / math.sqrt(expected + SMOOTHING)


def rising(scores: Mapping[str, float], limit: int) -> list[str]:
    """Up to `limit` hashtags that are above their past, those that rise most first; of equal ones by name."""
    return sorted((name for name, score in scores.items() if score > 0), key=lambda name: (-scores[name], name))[:limit]


def _left(age: timedelta) -> float:
    return float(2.0 ** -(max(age, timedelta(0)) / HALF_LIFE))


def _weighted(window: timedelta) -> timedelta:
    """The length of a time in which each moment counts by its age."""
    return HALF_LIFE / math.log(2) * (1 - _left(window))
