"""Topics, under which posts are listed: hashtags and places. Which are listed, and in which order the best come.

A post is listed under its topics while a stranger may see it. So posts of private accounts are on no such list, and
the number of a topic's posts says nothing of them.
"""

import hashlib
import math
from bisect import bisect_right
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from bson import ObjectId

from domain.places import Point
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import STRANGERS, can_view_post

COMMENT = 2  # a comment counts as two likes
STEP = timedelta(hours=12)  # two steps, which twice the likes are worth, are a day
# From how many likes on a post has one step more: it has 2 * log2(1 + likes) of them, rounded down.
STEPS = tuple(math.isqrt(2**number - 1) for number in range(1, 61))


class PostOrder(StrEnum):
    LATEST = "LATEST"
    TOP = "TOP"


class TopicKind(StrEnum):
    HASHTAG = "HASHTAG"
    PLACE = "PLACE"
    PLACE_NAME = "PLACE_NAME"  # no topic: it stands for a name in one block of cells while a place of it is made


class Topic(msgspec.Struct, frozen=True):
    """What posts are listed under. Places have a `key`, by which they are recognised, and may have a point."""

    id: ObjectId
    kind: TopicKind
    name: str
    key: str = ""
    point: Point | None = None


def hashtag_id(name: str) -> ObjectId:
    """The id of a hashtag, made of its name: no look-up is needed, and nobody can make two of one name."""
    return ObjectId(hashlib.sha256(f"#{name}".encode()).digest()[:12])


def hashtag_topic(name: str) -> Topic:
    return Topic(hashtag_id(name), TopicKind.HASHTAG, name)


def is_listed(post: PostRecord, author: UserRecord | None) -> bool:
    """Whether a post is listed under its topics: exactly if a stranger may see it."""
    return author is not None and can_view_post(post, author, STRANGERS)


def steps(like_count: int, comment_count: int) -> int:
    """How many steps the likes and comments of a post are worth."""
    return bisect_right(STEPS, like_count + COMMENT * comment_count)


def top_score(created_at: datetime, like_count: int, comment_count: int) -> int:
    """The place of a post among the best of a topic, the higher the better: being newer counts as being liked more.

    It changes with likes and comments alone, never with time, because all posts grow older alike. So a list in this
    order is read from an index.
    """
    return int(created_at.timestamp()) + steps(like_count, comment_count) * int(STEP.total_seconds())
