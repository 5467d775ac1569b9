"""A small world whose tastes are known: who posts how often, who would like what, and what they did so far.

It knows nothing of how the product ranks. The truth is the chance that a viewer would like a post, were it shown:

    taste for its author * its quality * 2 ** (-age / STALE)

and, of several posts of one author on a page, each has `BORED` times the chance of the one above it. A viewer loves few
of those they follow, likes some, and does not care for most; who posts much is not liked the more for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from bson import ObjectId

from datasources.feed.interests import COMMENTS, LIKES, VISITS
from domain.feed_ranking import Candidate
from domain.interests import Act, ActKind, compute_interests

NOW = datetime(2026, 11, 22, 20, tzinfo=UTC)
HISTORY = timedelta(days=60)
LOVED, LIKED = 0.10, 0.30  # of those followed
TASTES = {"loved": (0.35, 0.8), "liked": (0.05, 0.2), "indifferent": (0.0, 0.03)}
STALE = timedelta(days=4)
BORED = 0.85
SEEN = 0.4  # of the posts of the past
SAID = 0.1  # of the posts that are liked, those that are commented on, and those that lead to a visit of the profile


@dataclass(frozen=True)
class Author:
    """An author who posts so often a day: by a law like Zipf's, many post seldom and few post often."""

    id: ObjectId
    a_day: float
    known: float  # how many like a usual post of theirs


@dataclass(frozen=True)
class Viewer:
    """A viewer of known tastes, the posts they may be shown now, and the strengths of their interests."""

    tastes: dict[ObjectId, float]
    candidates: list[Candidate]
    strengths: dict[ObjectId, float]
    quality: dict[ObjectId, float]

    def chance(self, post: Candidate) -> float:
        """The chance that the viewer would like the post, as the first of its author's."""
        fresh = float(2.0 ** -((NOW - post.created_at) / STALE))
        return min(1.0, self.tastes[post.author_id] * self.quality[post.id] * fresh)

    def precision(self, shown: Sequence[Candidate], *, bored: bool) -> float:
        """The share of what is shown that the viewer is expected to like."""
        before: dict[ObjectId, int] = {}
        total = 0.0
        for post in shown:
            again = before.get(post.author_id, 0)
            total += self.chance(post) * (BORED**again if bored else 1.0)
            before[post.author_id] = again + 1
        return total / len(shown)


def viewers(seed: int, *, count: int, authors: int, following: int, max_candidates: int) -> list[Viewer]:
    """`count` viewers, each of whom follows some of the authors and may be shown their latest posts."""
    dice = Random(seed)
    cast = [_author(dice, number) for number in range(authors)]
    quality: dict[ObjectId, float] = {}
    posts = sorted((post for author in cast for post in _posts(dice, author, quality)), key=lambda post: post.id)
    return [_viewer(dice, cast, posts, quality, following, max_candidates) for _ in range(count)]


def _author(dice: Random, number: int) -> Author:
    return Author(ObjectId(f"{number + 1:024x}"), min(8.0, dice.paretovariate(1.2) * 0.25), dice.paretovariate(1.1) * 5)


def _posts(dice: Random, author: Author, quality: dict[ObjectId, float]) -> list[Candidate]:
    posts, at = [], NOW - HISTORY
    while (at := at + timedelta(days=dice.expovariate(author.a_day))) < NOW:
        post_id = ObjectId(f"{int(at.timestamp()):08x}{dice.getrandbits(64):016x}")
        quality[post_id] = dice.lognormvariate(0, 0.5)
        likes = int(author.known * quality[post_id] * dice.uniform(0.5, 1.5))
        posts.append(
            Candidate(id=post_id, author_id=author.id, created_at=at, like_count=likes, comment_count=int(likes * SAID))
        )
    return posts


def _viewer(
    dice: Random,
    cast: Sequence[Author],
    posts: Sequence[Candidate],
    quality: dict[ObjectId, float],
    following: int,
    max_candidates: int,
) -> Viewer:
    tastes = {author.id: dice.uniform(*TASTES[_kind(dice)]) for author in dice.sample(cast, following)}
    feed = [post for post in posts if post.author_id in tastes]
    acts: dict[ActKind, list[Act]] = {kind: [] for kind in ActKind}
    for post in feed:
        if dice.random() >= SEEN or dice.random() >= tastes[post.author_id] * quality[post.id]:
            continue
        at = min(NOW, post.created_at + timedelta(hours=dice.expovariate(0.2)))
        acts[ActKind.LIKE].append(Act(post.author_id, ActKind.LIKE, at))
        for kind in (ActKind.COMMENT, ActKind.VISIT):
            if dice.random() < SAID:
                acts[kind].append(Act(post.author_id, kind, at))
    known = [*acts[ActKind.LIKE][-LIKES:], *acts[ActKind.COMMENT][-COMMENTS:], *acts[ActKind.VISIT][-VISITS:]]
    strengths = {interest.author_id: interest.strength for interest in compute_interests(known, NOW)}
    return Viewer(tastes, feed[-max_candidates:], strengths, quality)


def _kind(dice: Random) -> str:
    draw = dice.random()
    return "loved" if draw < LOVED else "liked" if draw < LOVED + LIKED else "indifferent"
