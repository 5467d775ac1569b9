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


class Task(StrEnum):
    """What can be owed."""

    COUNT = "count"  # the target's counter follows
    COUNT_FOLLOWING = "count_following"  # the follower's counter follows
    NOTIFY = "notify"  # those concerned are told, or what they were told is taken back
    INGEST = "ingest"  # an upload's bytes are awaited, checked and rendered
    ADD_FORMATS = "add_formats"  # an image gets the formats that save bytes, after those that every client can show
    COMPLETE_POST = "complete_post"  # a post gets its images, or its failure
    FAN_OUT = "fan_out"  # a post comes into its author's followers' feeds
    FAN_OUT_CHUNK = "fan_out_chunk"  # a post comes into the feeds of one chunk of followers
    BACKFILL = "backfill"  # a feed takes in, or drops, one author's posts
    SWITCH_PUSH_PULL = "switch_push_pull"  # the follows of an author say that their posts are pulled, or pushed again
    COMPUTE_INTERESTS = "compute_interests"  # a viewer's interests are weighed anew from what they did
    REFRESH_FEED = "refresh_feed"  # a home feed is rebuilt, trimmed, or given up while its owner stays away
    SCREEN = "screen"  # a new comment is looked at: it may have come too late, or have to be hidden
    ACCEPT_REQUESTS = "accept_requests"  # an account that went public lets in who asked
    MOVE_FILES = "move_files"  # files come to lie where those may fetch them who may see the images, and nobody else
    REMOVE_FOLLOWS = "remove_follows"  # a block ends following both ways
    CLEAN_UP = "clean_up"  # what hangs on something deleted goes too


class Job(msgspec.Struct, frozen=True, order=True):
    """Something is owed: `effect`, for the facts of kind `fact` that share `key` (see `SETTLED_BY`)."""

    task: Task
    fact: Fact
    key: str


# The field whose value groups facts that are settled together. A thousand likes of one post are one piece of work.
KEY_FIELDS: Mapping[tuple[Task, Fact], str] = {
    (Task.COUNT, Fact.POST_LIKE): "target_id",
    (Task.NOTIFY, Fact.POST_LIKE): "target_id",
    (Task.COUNT, Fact.COMMENT_LIKE): "target_id",
    (Task.NOTIFY, Fact.COMMENT_LIKE): "target_id",
    (Task.COUNT, Fact.COMMENT): "post_id",
    (Task.NOTIFY, Fact.COMMENT): "_id",
    (Task.SCREEN, Fact.COMMENT): "_id",
    (Task.CLEAN_UP, Fact.COMMENT): "_id",
    (Task.COUNT, Fact.FOLLOW): "followee_id",
    (Task.COUNT_FOLLOWING, Fact.FOLLOW): "follower_id",
    (Task.NOTIFY, Fact.FOLLOW): "_id",
    (Task.BACKFILL, Fact.FOLLOW): "_id",
    (Task.REMOVE_FOLLOWS, Fact.BLOCK): "_id",
    (Task.ACCEPT_REQUESTS, Fact.USER): "_id",
    (Task.COUNT, Fact.POST): "author_id",
    (Task.COMPLETE_POST, Fact.POST): "_id",
    (Task.FAN_OUT, Fact.POST): "_id",
    (Task.NOTIFY, Fact.POST): "_id",
    (Task.MOVE_FILES, Fact.POST): "_id",
    (Task.CLEAN_UP, Fact.POST): "_id",
    (Task.INGEST, Fact.UPLOAD): "_id",
    (Task.ADD_FORMATS, Fact.UPLOAD): "_id",
    (Task.CLEAN_UP, Fact.UPLOAD): "_id",
    (Task.MOVE_FILES, Fact.USER): "_id",
    (Task.CLEAN_UP, Fact.USER): "_id",
    (Task.SWITCH_PUSH_PULL, Fact.USER): "_id",
    (Task.COMPUTE_INTERESTS, Fact.INTEREST): "_id",
    (Task.REFRESH_FEED, Fact.FEED): "_id",
    (Task.FAN_OUT_CHUNK, Fact.FAN_OUT): "_id",
}


def jobs_of(fact: Fact, document: Mapping[str, Any]) -> list[Job]:
    """The rings that would pay what a document owes, but for what is parked among the dead letters.

    An effect that is not known is a newer version's, whose processes ring for it.
    """
    jobs = []
    for name in document.get("outbox", ()):
        field = KEY_FIELDS.get((name, fact))
        if field is not None and field in document and name not in document.get("dead_lettered", ()):
            jobs.append(Job(Task(name), fact, str(document[field])))
    return jobs
