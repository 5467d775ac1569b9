"""The order of the ranked feed: a score for each recent post, and authors spread so that none floods a page.

    score = (STRANGER + affinity) * freshness * popularity * SAME_AGAIN ** (better posts of the same author)

Of any `SPAN` posts in a row at most `MAX_PER_AUTHOR` are by one author while others have posts left
(docs/design/ranking.md).
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from bson import ObjectId

from domain.records.record import Stored

STRANGER = 0.25  # the strongest interest counts five times a stranger: as much as being 2.3 half-lives fresher
K = 3.0  # the strength that gives half the affinity: three fresh likes, or a comment
HALF_LIFE = timedelta(hours=24)
COMMENT = 2.0  # a comment counts as two likes
POPULAR = 0.25  # what ten times the likes add: a post with 1,000 of them weighs 1.75 times one with none
SAME_AGAIN = 0.7
SPAN, MAX_PER_AUTHOR = 10, 3


class Candidate(Stored, frozen=True, kw_only=True):
    """A post that may be shown, and what its score depends on."""

    author_id: ObjectId
    created_at: datetime
    hashtags: Sequence[str] = ()
    like_count: int = 0
    comment_count: int = 0


Post = TypeVar("Post", bound=Candidate)


def affinity(strength: float) -> float:
    """From 0, for no interest, towards 1: a hundred likes are not ten times ten."""
    return max(strength, 0.0) / (max(strength, 0.0) + K)


def freshness(age: timedelta) -> float:
    """1 for a new post (or one of the future, by a clock that is ahead), towards 0."""
    return float(2.0 ** -(max(age, timedelta(0)) / HALF_LIFE))


def popularity(like_count: int, comment_count: int) -> float:
    """1 for a post without likes and comments; the first ten likes add as much as the next hundred."""
    return 1.0 + POPULAR * math.log10(1.0 + max(like_count, 0) + COMMENT * max(comment_count, 0))


def score(post: Candidate, strength: float, now: datetime) -> float:
    """How much a post should matter to a viewer whose interest in its author is this strong; never negative."""
    return (
        (STRANGER + affinity(strength))
        * freshness(now - post.created_at)
        * popularity(post.like_count, post.comment_count)
    )


def rank_posts(posts: Iterable[Candidate], strengths: Mapping[ObjectId, float], now: datetime) -> list[Candidate]:
    """All of the posts, best first; `strengths` by author. The same for the same posts in any order."""
    return spread_authors((score(post, strengths.get(post.author_id, 0.0), now), post) for post in posts)


def spread_authors(scored: Iterable[tuple[float, Post]], max_in_span: int = MAX_PER_AUTHOR) -> list[Post]:
    """All of the posts, best first, each author's less the more better ones they have.

    Of any `SPAN` in a row at most `max_in_span` are by one author while others have posts left. The same for the same
    posts in any order. Ties go to the newest. Takes n log n steps.
    """
    by_author: dict[ObjectId, deque[tuple[float, Post]]] = {}
    for points, post in sorted(scored, key=_best_first):
        own = by_author.setdefault(post.author_id, deque())
        own.append((points * SAME_AGAIN ** len(own), post))
    return list(_spread(by_author, max_in_span))


def _best_first(scored: tuple[float, Candidate]) -> tuple[float, int]:
    return -scored[0], -int.from_bytes(scored[1].id.binary, "big")


def _spread(by_author: Mapping[ObjectId, deque[tuple[float, Post]]], max_in_span: int) -> Iterator[Post]:
    """Takes the best post of the authors who may have another one; if nobody may, of who has waited longest."""
    ready = [(_best_first(own[0]), author_id) for author_id, own in by_author.items()]
    heapq.heapify(ready)
    held: list[tuple[int, ObjectId]] = []  # a heap, by the place from which they may have another
    shown: dict[ObjectId, deque[int]] = {author_id: deque(maxlen=max_in_span) for author_id in by_author}
    for place in range(sum(map(len, by_author.values()))):
        while held and (held[0][0] <= place or not ready):
            _, author_id = heapq.heappop(held)
            heapq.heappush(ready, (_best_first(by_author[author_id][0]), author_id))
        _, author_id = heapq.heappop(ready)
        own, places = by_author[author_id], shown[author_id]
        yield own.popleft()[1]
        places.append(place)
        if own and len(places) == max_in_span and places[0] + SPAN > place + 1:
            heapq.heappush(held, (places[0] + SPAN, author_id))
        elif own:
            heapq.heappush(ready, (_best_first(own[0]), author_id))
