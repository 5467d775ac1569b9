"""Facts, the effects they owe, and the doorbell that says so (docs/adr/0002).

A fact is a document written by a mutation. Its `outbox` names the effects still owed for it. A `Ring` is the small
message that wakes a worker; it may be lost, repeated or reordered, for the outbox is what counts.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Fact(StrEnum):
    """Kinds of documents that can owe effects."""

    POST_LIKE = "post_like"
    COMMENT_LIKE = "comment_like"
    COMMENT = "comment"
    FOLLOW = "follow"
    BLOCK = "block"
    POST = "post"
    UPLOAD = "upload"
    USER = "user"
    INTEREST = "interest"
    FEED = "feed"
    FAN_OUT = "fan_out"  # a chunk of a long one


class Effect(StrEnum):
    """What can be owed."""

    COUNT = "count"  # the target's counter follows
    COUNT_FOLLOWING = "count_following"  # the follower's counter follows
    NOTIFY = "notify"  # those concerned are told, or what they were told is taken back
    RECEIVE = "receive"  # an upload's bytes are awaited, checked and rendered
    REFINE = "refine"  # an image gets the formats that save bytes, after those that every client can show
    ASSEMBLE = "assemble"  # a post gets its images, or its failure
    FAN_OUT = "fan_out"  # a post comes into its author's followers' feeds
    PUSH = "push"  # a post comes into the feeds of one chunk of followers
    FILL = "fill"  # a feed takes in, or drops, one author's posts
    SHIFT = "shift"  # the follows of an author say that their posts are pulled, or pushed again
    WEIGH = "weigh"  # a viewer's interests are weighed anew from what they did
    TEND = "tend"  # a home feed is rebuilt, trimmed, or given up while its owner stays away
    SCREEN = "screen"  # a new comment is looked at: it may have come too late, or have to be hidden
    GRANT = "grant"  # an account that went public lets in who asked
    PLACE = "place"  # files come to lie where those may fetch them who may see the images, and nobody else
    SEVER = "sever"  # a block ends following both ways
    CLEAN = "clean"  # what hangs on something deleted goes too


class Ring(msgspec.Struct, frozen=True, order=True):
    """Something is owed: `effect`, for the facts of kind `fact` that share `key` (see `SETTLED_BY`)."""

    effect: Effect
    fact: Fact
    key: str


# The field whose value groups facts that are settled together. A thousand likes of one post are one piece of work.
SETTLED_BY: Mapping[tuple[Effect, Fact], str] = {
    (Effect.COUNT, Fact.POST_LIKE): "target_id",
    (Effect.NOTIFY, Fact.POST_LIKE): "target_id",
    (Effect.COUNT, Fact.COMMENT_LIKE): "target_id",
    (Effect.NOTIFY, Fact.COMMENT_LIKE): "target_id",
    (Effect.COUNT, Fact.COMMENT): "post_id",
    (Effect.NOTIFY, Fact.COMMENT): "_id",
    (Effect.SCREEN, Fact.COMMENT): "_id",
    (Effect.CLEAN, Fact.COMMENT): "_id",
    (Effect.COUNT, Fact.FOLLOW): "followee_id",
    (Effect.COUNT_FOLLOWING, Fact.FOLLOW): "follower_id",
    (Effect.NOTIFY, Fact.FOLLOW): "_id",
    (Effect.FILL, Fact.FOLLOW): "_id",
    (Effect.SEVER, Fact.BLOCK): "_id",
    (Effect.GRANT, Fact.USER): "_id",
    (Effect.COUNT, Fact.POST): "author_id",
    (Effect.ASSEMBLE, Fact.POST): "_id",
    (Effect.FAN_OUT, Fact.POST): "_id",
    (Effect.NOTIFY, Fact.POST): "_id",
    (Effect.PLACE, Fact.POST): "_id",
    (Effect.CLEAN, Fact.POST): "_id",
    (Effect.RECEIVE, Fact.UPLOAD): "_id",
    (Effect.REFINE, Fact.UPLOAD): "_id",
    (Effect.CLEAN, Fact.UPLOAD): "_id",
    (Effect.PLACE, Fact.USER): "_id",
    (Effect.CLEAN, Fact.USER): "_id",
    (Effect.SHIFT, Fact.USER): "_id",
    (Effect.WEIGH, Fact.INTEREST): "_id",
    (Effect.TEND, Fact.FEED): "_id",
    (Effect.PUSH, Fact.FAN_OUT): "_id",
}


def rings_for(fact: Fact, document: Mapping[str, Any]) -> list[Ring]:
    """The rings that would pay what a document owes, but for what is parked among the dead letters.

    An effect that is not known is a newer version's, whose processes ring for it.
    """
    rings = []
    for name in document.get("outbox", ()):
        field = SETTLED_BY.get((name, fact))
        if field is not None and field in document and name not in document.get("parked", ()):
            rings.append(Ring(Effect(name), fact, str(document[field])))
    return rings
