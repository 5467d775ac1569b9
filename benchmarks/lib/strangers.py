"""A small world of posts by strangers whose topics and qualities are known, and of viewers whose tastes are.

It knows nothing of how the product orders explore. The truth is the chance that a viewer would like a post:

    taste for its topic * appeal of its author * its quality * 2 ** (-age / STALE)

An author's audience has nothing to do with either; it gives likes by quality and appeal, and over hours. Some authors
buy likes for posts that nobody likes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from bson import ObjectId

from benchmarks.lib.tastes import NOW, STALE
from domain.exploring import DOUBT, RecentPost
from domain.interests import Act, ActKind, compute_interests
from domain.limits import EXPLORE_AGE

TOPICS = 40
LOVED, LIKED = 3, 6  # topics of a viewer
TASTES = {"loved": 0.3, "liked": 0.1, "indifferent": 0.01}
LIKES_COME = timedelta(hours=8)  # until two of three likes of a post have come
CHEATS, BOUGHT = 0.05, 400  # authors who buy likes, and how many for a post
FOLLOWED = 25
HISTORY = 60  # acts of a viewer, most of them towards posts that they are likely to like


@dataclass(frozen=True)
class Author:
    id: ObjectId
    topic: str
    appeal: float
    audience: float
    is_cheat: bool


@dataclass(frozen=True)
class Shown:
    """A post, with what the product may know of it, and its quality."""

    post: RecentPost
    author: Author
    share: float  # of its likes that count
    quality: float


@dataclass(frozen=True)
class Viewer:
    tastes: dict[str, float]
    followed: set[ObjectId]
    strengths: dict[ObjectId, float]

    def chance(self, shown: Shown) -> float:
        """The chance that the viewer would like the post."""
        fresh = float(2.0 ** -((NOW - shown.post.created_at) / STALE))
        taste = self.tastes.get(shown.author.topic, TASTES["indifferent"])
        return min(1.0, taste * shown.author.appeal * shown.quality * fresh)


def strangers(dice: Random, authors: int) -> list[Shown]:
    """A week's posts of so many authors."""
    posts: list[Shown] = []
    for number in range(authors):
        author = Author(
            ObjectId(f"{number + 1:024x}"),
            f"topic{dice.randrange(TOPICS)}",
            dice.lognormvariate(0, 0.5),
            dice.paretovariate(1.1) * 50,
            dice.random() < CHEATS,
        )
        a_day, at = min(8.0, dice.paretovariate(1.2) * 0.25), NOW - EXPLORE_AGE
        while (at := at + timedelta(days=dice.expovariate(a_day))) < NOW:
            posts.append(_post(dice, author, at))
    return posts


def viewers(dice: Random, posts: Sequence[Shown], count: int) -> list[Viewer]:
    """Viewers who follow authors of their topics, and have liked posts of them."""
    authors = list({shown.author.id: shown.author for shown in posts}.values())
    people = []
    for _ in range(count):
        names = dice.sample([f"topic{number}" for number in range(TOPICS)], LOVED + LIKED)
        tastes = {name: TASTES["loved" if place < LOVED else "liked"] for place, name in enumerate(names)}
        near = [author for author in authors if author.topic in tastes]
        followed = {author.id: author for author in dice.sample(near, min(FOLLOWED, len(near)))}
        weights = [tastes[author.topic] * author.appeal for author in followed.values()]
        liked = dice.choices(list(followed.values()), weights, k=HISTORY)
        acts = [Act(author.id, ActKind.LIKE, NOW - timedelta(days=dice.uniform(0, 60))) for author in liked]
        strengths = {interest.author_id: interest.strength for interest in compute_interests(acts, NOW)}
        people.append(Viewer(tastes, set(followed), strengths))
    return people


def _post(dice: Random, author: Author, at: datetime) -> Shown:
    quality = dice.lognormvariate(0, 0.6) * (0.3 if author.is_cheat else 1.0)
    come = 1.0 - math.exp(-((NOW - at) / LIKES_COME))
    honest = int(author.audience * 0.1 * author.appeal * quality * come * dice.uniform(0.7, 1.3))
    bought = BOUGHT if author.is_cheat else 0
    post = RecentPost(
        id=ObjectId(f"{int(at.timestamp()):08x}{dice.getrandbits(64):016x}"),
        author_id=author.id,
        created_at=at,
        hashtags=[author.topic],
        like_count=honest + bought,
    )
    return Shown(post, author, honest / (honest + bought + DOUBT), quality)
