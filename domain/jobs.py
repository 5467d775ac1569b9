"""Facts, the tasks pending for them, and the jobs that wake workers (docs/adr/0002): one table of every kind of job.

A fact is a document that says that something was done. Its `outbox` names the tasks still pending for it. A `Job` is a
small message that wakes a worker; it may be lost, repeated or reordered, because the outbox is what counts.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Fact(StrEnum):
    """Kinds of documents that can have pending tasks."""

    POST_LIKE = "post_like"
    COMMENT_LIKE = "comment_like"
    COMMENT = "comment"
    FOLLOW = "follow"
    BLOCK = "block"
    POST = "post"
    TOPIC_POST = "topic_post"  # a post that is, or was, listed under a hashtag or a place
    UPLOAD = "upload"
    USER = "user"
    INTEREST = "interest"
    FEED = "feed"
    FAN_OUT = "fan_out"  # a long one, or a chunk of it
    WEBHOOK_MESSAGE = "webhook_message"  # an event on its way to an endpoint
    PURGE = "purge"  # deleted public files
    MAIL = "mail"
    EXPORT = "export"  # everything that an account has, in an archive
    REPORT = "report"
    DECISION = "decision"  # of moderators
    COLLECTION = "collection"  # of saved posts

    @property
    def collection(self) -> str:
        return f"{self.value}s"


class Task(StrEnum):
    """What can be pending for a fact."""

    COUNT = "count"  # add the fact to its target's counter
    COUNT_FOLLOWING = "count_following"  # add a follow to the follower's counter
    NOTIFY = "notify"  # notify those concerned, or take notifications back
    INGEST = "ingest"  # wait for an upload's bytes, check and render them
    ADD_FORMATS = "add_formats"  # add the formats that save bytes, after those that every client can show
    COMPLETE_POST = "complete_post"  # give a post its images, or its failure
    FAN_OUT = "fan_out"  # put a post into the feeds of its author's followers
    LIST = "list"  # list a post under its hashtags and its place, or take it off; of an account, all of its posts
    SPLIT_FAN_OUT = "split_fan_out"  # split the fan-out of a post to many followers into chunks
    FAN_OUT_CHUNK = "fan_out_chunk"  # put a post into the feeds of one chunk of followers
    BACKFILL = "backfill"  # put one author's posts into one feed, or take them out
    SWITCH_PUSH_PULL = "switch_push_pull"  # mark an author's follows as pulled, or as pushed again
    COMPUTE_INTERESTS = "compute_interests"  # compute a viewer's interests from what they did
    REFRESH_FEED = "refresh_feed"  # rebuild or trim a home feed, or drop it while its owner stays away
    SCREEN = "screen"  # look at new words or images: moderators may have to see it, or nobody
    ACCEPT_REQUESTS = "accept_requests"  # accept the follow requests of an account that went public
    MOVE_FILES = "move_files"  # move files to the area that fits who may see the images
    REMOVE_FOLLOWS = "remove_follows"  # end follows both ways after a block
    CLEAN_UP = "clean_up"  # remove what hangs on something deleted
    BUILD_EXPORT = "build_export"  # put everything that an account has into an archive
    END_SESSIONS = "end_sessions"  # end the sessions of an account that was deactivated or suspended
    END_DECISION = "end_decision"  # end a suspension, or delete what was removed, when the time has come
    PURGE_CDN = "purge_cdn"  # remove copies of deleted files from the CDN
    PUBLISH_REDIS = "publish_redis"  # tell others what happened (`domain/events.py`), by a stream of Redis
    PUBLISH_SNS = "publish_sns"  # the same by a topic of SNS
    PUBLISH_WEBHOOKS = "publish_webhooks"  # the same by webhooks
    DELIVER = "deliver"  # send webhooks to their endpoint
    SEND_MAIL = "send_mail"  # give a mail to the mail server


JobKind = tuple[Task, Fact]

# By the setting that turns each on. A place to which events go has a task of its own, so that none waits for another.
PUBLISHING: Mapping[str, Task] = {
    "redis": Task.PUBLISH_REDIS,
    "sns": Task.PUBLISH_SNS,
    "webhooks": Task.PUBLISH_WEBHOOKS,
}


class Job(msgspec.Struct, frozen=True, order=True):
    """`task` is pending for the facts of kind `fact` that share `key`, the value of the `key_field` in `JOBS`."""

    task: Task
    fact: Fact
    key: str

    @property
    def kind(self) -> JobKind:
        return self.task, self.fact


class JobSpec(msgspec.Struct, frozen=True):
    """What queue, relay and workers need to know of a kind of job; `workers/registry.py` adds the handler.

    The value of `key_field` groups the facts that one job is about: a thousand likes of one post are one job. A call of
    the handler takes up to `batch` keys and `seconds`; a worker runs up to `concurrency` calls of a kind at once, for
    each of its rendering processes if it is `per_render_process`. After `attempts` failures a job is a dead letter. The
    first job that waits of a kind waits `linger` seconds for others.
    """

    worker: str
    key_field: str = "_id"
    batch: int = 1
    seconds: float = 60.0
    attempts: int = 5
    concurrency: int = 16
    per_render_process: bool = False
    linger: float = 0.0


def _counted(key_field: str) -> JobSpec:
    # Counting and notifying write the same fact. At once they conflict, and people wait for notifications only.
    return JobSpec("counters", key_field, batch=200, concurrency=1, linger=0.1)


def _notified(key_field: str = "_id") -> JobSpec:
    return JobSpec("notifications", key_field, batch=100, concurrency=1)


def _published(key_field: str = "_id") -> JobSpec:
    # Publishing marks the fact too, so it lets counting and notifying go first.
    return JobSpec("events", key_field, batch=100, concurrency=1, linger=0.3)


_PUBLISHED = {
    Fact.POST_LIKE: _published("target_id"),
    Fact.COMMENT_LIKE: _published("target_id"),
    Fact.COMMENT: _published(),
    Fact.FOLLOW: _published(),
    Fact.POST: _published(),
    Fact.USER: _published(),
    Fact.REPORT: _published(),
    Fact.DECISION: _published(),
}
_LONG = 600.0  # seconds
_EXPORTING: JobKind = (Task.BUILD_EXPORT, Fact.EXPORT)

JOBS: Mapping[JobKind, JobSpec] = {
    (Task.COUNT, Fact.POST_LIKE): _counted("target_id"),
    (Task.COUNT, Fact.COMMENT_LIKE): _counted("target_id"),
    (Task.COUNT, Fact.COMMENT): _counted("post_id"),
    (Task.COUNT, Fact.POST): _counted("author_id"),
    (Task.COUNT, Fact.TOPIC_POST): _counted("topic_id"),
    (Task.COUNT, Fact.FOLLOW): _counted("followee_id"),
    (Task.COUNT_FOLLOWING, Fact.FOLLOW): _counted("follower_id"),
    (Task.NOTIFY, Fact.POST_LIKE): _notified("target_id"),
    (Task.NOTIFY, Fact.COMMENT_LIKE): _notified("target_id"),
    (Task.NOTIFY, Fact.COMMENT): _notified(),
    (Task.NOTIFY, Fact.FOLLOW): _notified(),
    (Task.NOTIFY, Fact.POST): JobSpec("notifications"),
    (Task.NOTIFY, Fact.DECISION): _notified(),
    # An upload in hand holds its bytes. While one is rendered, others are read and stored.
    (Task.INGEST, Fact.UPLOAD): JobSpec("media", seconds=180, concurrency=4, per_render_process=True),
    (Task.COMPLETE_POST, Fact.POST): JobSpec("media"),
    # A worker of its own: nobody waits for it, so it must not delay what somebody waits for.
    (Task.ADD_FORMATS, Fact.UPLOAD): JobSpec("formats", seconds=180, concurrency=4, per_render_process=True),
    (Task.FAN_OUT, Fact.POST): JobSpec("feed", seconds=_LONG, batch=16, concurrency=1),
    # A worker of its own: the posts of authors with few followers must not wait for those of authors with many.
    (Task.SPLIT_FAN_OUT, Fact.FAN_OUT): JobSpec("large_fan_outs", seconds=_LONG, concurrency=1),
    (Task.FAN_OUT_CHUNK, Fact.FAN_OUT): JobSpec("large_fan_outs", seconds=20, concurrency=1),
    # A worker of its own: of an account that turns private thousands of posts are listed anew, and no fan-out waits.
    (Task.LIST, Fact.POST): JobSpec("listings", batch=16, concurrency=1),
    (Task.LIST, Fact.USER): JobSpec("listings", seconds=60),
    (Task.SWITCH_PUSH_PULL, Fact.USER): JobSpec("feed", seconds=_LONG),
    (Task.BACKFILL, Fact.FOLLOW): JobSpec("feed", seconds=_LONG),
    (Task.REFRESH_FEED, Fact.FEED): JobSpec("feed", seconds=120),
    (Task.COMPUTE_INTERESTS, Fact.INTEREST): JobSpec("feed"),
    (Task.SCREEN, Fact.COMMENT): JobSpec("screening", batch=20, concurrency=1),
    (Task.SCREEN, Fact.POST): JobSpec("screening", seconds=60, concurrency=2),
    (Task.SCREEN, Fact.USER): JobSpec("screening", concurrency=2),
    (Task.SCREEN, Fact.COLLECTION): JobSpec("screening", seconds=60, concurrency=2),
    (Task.MOVE_FILES, Fact.POST): JobSpec("files", seconds=_LONG),
    (Task.MOVE_FILES, Fact.USER): JobSpec("files", seconds=_LONG),
    (Task.REMOVE_FOLLOWS, Fact.BLOCK): JobSpec("janitor"),
    (Task.ACCEPT_REQUESTS, Fact.USER): JobSpec("janitor", seconds=_LONG),
    (Task.END_SESSIONS, Fact.USER): JobSpec("janitor"),
    (Task.CLEAN_UP, Fact.UPLOAD): JobSpec("janitor"),
    (Task.CLEAN_UP, Fact.COMMENT): JobSpec("janitor", seconds=_LONG),
    (Task.CLEAN_UP, Fact.POST): JobSpec("janitor", seconds=_LONG),
    (Task.CLEAN_UP, Fact.USER): JobSpec("janitor", seconds=_LONG),
    (Task.END_SESSIONS, Fact.DECISION): JobSpec("janitor"),
    (Task.END_DECISION, Fact.DECISION): JobSpec("janitor"),
    # A worker of its own: a CDN that is away must delay nothing else. It waits for more files of the same account.
    (Task.PURGE_CDN, Fact.PURGE): JobSpec("cdn", "account", seconds=_LONG, concurrency=8, linger=2.0),
    # A worker of its own: a call makes an archive, which takes twenty minutes at most, and nobody can go on with it.
    # It holds a part of the archive and a few images in memory.
    _EXPORTING: JobSpec("exports", seconds=3 * _LONG, concurrency=2),
    (Task.CLEAN_UP, Fact.EXPORT): JobSpec("janitor"),
    # As many at once as there may be endpoints, so that a slow one holds up no other.
    (Task.DELIVER, Fact.WEBHOOK_MESSAGE): JobSpec("webhooks", "endpoint_id", concurrency=20),
    # A worker of its own: a mail server that is away must delay nothing else.
    (Task.SEND_MAIL, Fact.MAIL): JobSpec("mail", batch=10, concurrency=4),
    **{(task, fact): spec for task in PUBLISHING.values() for fact, spec in _PUBLISHED.items()},
}

WORKERS = tuple(dict.fromkeys(spec.worker for spec in JOBS.values()))
# Within which every call ends that may write something of an account that was deleted meanwhile. The building of an
# export notices it within seconds.
LONGEST_CALL_SECONDS = max(spec.seconds for kind, spec in JOBS.items() if kind != _EXPORTING)


def jobs_of(fact: Fact, document: Mapping[str, Any]) -> list[Job]:
    """The jobs of what is pending for a document, but for what is among the dead letters.

    A task that is not known is a newer version's, whose processes enqueue it.
    """
    jobs = []
    for name in document.get("outbox", ()):
        spec = JOBS.get((name, fact))
        if spec is not None and spec.key_field in document and name not in document.get("dead_lettered", ()):
            jobs.append(Job(Task(name), fact, str(document[spec.key_field])))
    return jobs
