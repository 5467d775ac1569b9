"""The order of explore: recent public posts by how people like them, spread over authors.

    score = sqrt(1 + likes that count) * freshness / (1 + followers / FEW) ** REACH

Likes count by the share of those who gave the latest ones, or the first ones if that is larger, whose acts count: not
the author, nobody new or restricted, and people whom the author follows only a little. So bought likes and circles of
friends lift no post far. A post that many followers see gets more likes for the same quality, so these count less.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from bson import ObjectId

from domain.feed_ranking import COMMENT, Candidate, freshness, spread_authors

NEW_ACCOUNT = timedelta(days=2)  # who makes accounts to like has to wait so long, in which they may be found
CIRCLE = 0.2  # what an act of somebody counts whom the author follows
DOUBT = 1.0  # a post's first likes count half: one person is no proof
FEW, REACH = 100, 0.25
MAX_EVIDENCE = 30  # people whose acts are looked at for one post, the latest
LOW_SHARE = 0.5  # of a post with less and more likes the first are looked at too: nobody takes them away by liking it
MAX_IN_SPAN = 1  # posts of one author of any ten in a row: nobody chose these authors


class RecentPost(Candidate, frozen=True, kw_only=True):
    """A post as explore considers it."""

    is_sensitive: bool = False


class Act(msgspec.Struct, frozen=True):
    """That somebody liked a post, or commented on it."""

    post_id: ObjectId
    user_id: ObjectId
    is_comment: bool = False


Evidence = Mapping[ObjectId, Mapping[ObjectId, float]]


def gather_evidence(acts: Iterable[Act]) -> Evidence:
    """How much each person did for each post, by post and person; up to `MAX_EVIDENCE` people of a post, the first.

    What somebody does again counts once: who comments a hundred times is one person.
    """
    people: dict[ObjectId, dict[ObjectId, float]] = {}
    for act in acts:
        of_post = people.setdefault(act.post_id, {})
        if act.user_id in of_post or len(of_post) < MAX_EVIDENCE:
            of_post[act.user_id] = max(of_post.get(act.user_id, 0.0), COMMENT if act.is_comment else 1.0)
    return people


def act_weight(*, is_author: bool, is_restricted: bool, is_followed: bool, age: timedelta) -> float:
    """How much an act of an account of this age counts, from 0 to 1; `is_followed` says that the author follows it."""
    if is_author or is_restricted or age < NEW_ACCOUNT:
        return 0.0
    return CIRCLE if is_followed else 1.0


def counted_share(done: Mapping[ObjectId, float], weights: Mapping[ObjectId, float]) -> float:
    """The share of a post's likes and comments that counts, from 0 towards 1, by the people who gave the latest ones.

    Nobody counts who has no weight.
    """
    return sum(points * weights.get(user_id, 0.0) for user_id, points in done.items()) / (sum(done.values()) + DOUBT)


def explore_score(post: Candidate, share: float, follower_count: int, now: datetime) -> float:
    """How much strangers may like a post of which this share of likes and comments counts; more than 0."""
    liked = max(post.like_count, 0) + COMMENT * max(post.comment_count, 0)
    reach: float = (1.0 + max(follower_count, 0) / FEW) ** REACH
    return math.sqrt(1.0 + liked * share) * freshness(now - post.created_at) / reach


def explore_order(scored: Iterable[tuple[float, RecentPost]], limit: int) -> list[RecentPost]:
    """Up to `limit` posts, best first, one of an author in any ten while others have some.

    The same for the same posts in any order.
    """
    return spread_authors(scored, MAX_IN_SPAN)[:limit]
