"""What a viewer cares about, computed from their own acts towards each author.

An act counts more if it takes more effort, and half as much after every `HALF_LIFE` (exponential decay, as in most
recommenders since Facebook's EdgeRank). So tastes may change, and nothing has to be deleted by hand.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter

import msgspec
from bson import ObjectId

from domain.records.record import Record


class ActKind(StrEnum):
    LIKE = "like"
    COMMENT_LIKE = "comment_like"
    COMMENT = "comment"
    VISIT = "visit"


WEIGHTS = {
    ActKind.VISIT: 0.5,  # one a day counts, and looking is not liking
    ActKind.COMMENT_LIKE: 0.5,  # of the author's words, not of their photographs
    ActKind.LIKE: 1.0,
    ActKind.COMMENT: 3.0,  # takes a sentence where a like takes a tap
}
HALF_LIFE = timedelta(days=30)
OFTEN = 3  # acts of a kind, within `LATELY`, that may be called often
LATELY = timedelta(days=90)
MANY = 10  # likes of a post
VISITS_KEPT = timedelta(days=90)
AUTHORS_KEPT = 200  # the strongest interests; other authors' posts are ranked as a stranger's


class Act(msgspec.Struct, frozen=True):
    """Something the viewer did, and did not take back."""

    author_id: ObjectId
    kind: ActKind
    at: datetime


class Interest(Record, frozen=True, kw_only=True):
    """How strong a viewer's interest in an author was when it was computed, and how many acts of a kind `LATELY`."""

    author_id: ObjectId
    strength: float
    likes: int = 0
    comments: int = 0
    visits: int = 0


_COUNTED = {ActKind.LIKE: "likes", ActKind.COMMENT: "comments", ActKind.VISIT: "visits"}


def compute_interests(acts: Iterable[Act], now: datetime) -> list[Interest]:
    """The viewer's interests, the strongest `AUTHORS_KEPT`, strongest first.

    The order of the acts does not matter. An act in the future, by a clock that is ahead, counts as one of now.
    """
    strengths: dict[ObjectId, float] = {}
    counts: dict[ObjectId, dict[str, int]] = {}
    for act in sorted(acts, key=attrgetter("author_id", "kind", "at")):
        strengths[act.author_id] = strengths.get(act.author_id, 0.0) + WEIGHTS[act.kind] * decay(now - act.at)
        counted = counts.setdefault(act.author_id, {})
        if act.kind in _COUNTED and now - act.at <= LATELY:
            counted[_COUNTED[act.kind]] = counted.get(_COUNTED[act.kind], 0) + 1
    author_ids = sorted(strengths, key=lambda author_id: (-strengths[author_id], author_id))[:AUTHORS_KEPT]
    return [Interest(author_id=each, strength=strengths[each], **counts[each]) for each in author_ids]


def decay(age: timedelta) -> float:
    """The share that is left after a time: 1 at first, a half after `HALF_LIFE`, towards 0."""
    return float(2.0 ** -(max(age, timedelta(0)) / HALF_LIFE))


def feed_reason(username: str, interest: Interest | None, *, like_count: int, is_own: bool) -> str:
    """Why a post of an author whom the viewer follows is in their ranked feed: a true sentence.

    What it says of the viewer was true when their interests were computed.
    """
    if is_own:
        return "You posted this."
    for name, sentence in _SENTENCES.items():
        if interest is not None and getattr(interest, name) >= OFTEN:
            return sentence.format(username)
    return "Many people like this." if like_count >= MANY else f"You follow {username}."


_SENTENCES = {
    "likes": "You often like {}'s photos.",
    "comments": "You often comment on {}'s photos.",
    "visits": "You often look at {}'s profile.",
}
