"""Public events: what others are told of facts, as CloudEvents 1.0 (docs/events.md, schemas in docs/events/).

An event says what holds now, after a change of a fact. It names things by the API's global ids. Words are in it only if
a stranger may see them at the moment at which the event is made.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from bson import ObjectId

from domain.ids import to_global_id
from domain.records.comments import CommentRecord
from domain.records.moderation import DecisionRecord, ReportReason, Target
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import STRANGERS, can_view_comment, can_view_post

VERSION = 1  # of the types; it changes when a consumer of the old form would misread the new one


class EventType(StrEnum):
    """What can happen."""

    POST_PUBLISHED = "post.published"
    POST_DELETED = "post.deleted"
    POST_LIKED = "post.liked"
    POST_UNLIKED = "post.unliked"
    COMMENT_LIKED = "comment.liked"
    COMMENT_UNLIKED = "comment.unliked"
    COMMENT_ADDED = "comment.added"
    COMMENT_DELETED = "comment.deleted"  # or hidden
    USER_FOLLOWED = "user.followed"
    USER_UNFOLLOWED = "user.unfollowed"
    USER_DELETED = "user.deleted"
    REPORT_OPENED = "report.opened"
    ACCOUNT_SUSPENDED = "account.suspended"

    @property
    def full_name(self) -> str:
        """The CloudEvents `type`."""
        return f"photogram.{self.value}.v{VERSION}"


class Event(msgspec.Struct, frozen=True):
    """A fact after its change number `sequence`; `subject` is the global id of what it happened to.

    The id is made of these alone, so it is the same each time the event is sent.
    """

    type: EventType
    fact_id: ObjectId
    sequence: int
    subject: str
    time: datetime
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """With the source, unique; equal for repetitions. It has no dot, as webhooks ask of ids."""
        return f"{self.type.value.replace('.', '_')}:{self.fact_id}:{self.sequence}"

    def to_cloud_event(self, source: str) -> dict[str, Any]:
        """The event in CloudEvents' JSON format, with the extension `sequence`."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": source,
            "type": self.type.full_name,
            "subject": self.subject,
            "time": to_instant(self.time),
            "datacontenttype": "application/json",
            "sequence": f"{self.sequence:010}",
            "data": self.data,
        }


def to_instant(moment: datetime) -> str:
    """A time as events tell it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def post_event(post: PostRecord, at: datetime) -> Event:
    """That a post was published or deleted, each of which happens once."""
    data = {"postId": to_global_id("Post", post.id), "authorId": to_global_id("User", post.author_id)}
    kind, sequence = (EventType.POST_DELETED, 2) if post.deleted else (EventType.POST_PUBLISHED, 1)
    return Event(kind, post.id, sequence, data["postId"], at, data)


def post_content(post: PostRecord, author: UserRecord | None) -> dict[str, Any] | None:
    """The words of a post; None if strangers may not see them. `author` is None if the account is gone."""
    if author is None or not can_view_post(post, author, STRANGERS):
        return None
    return {"caption": post.caption, "hashtags": post.hashtags, "imageCount": len(post.images)}


def comment_event(comment: CommentRecord, version: int, at: datetime) -> Event:
    """That a comment was added (or is shown again), or is gone: deleted or hidden."""
    data = {
        "commentId": to_global_id("Comment", comment.id),
        "postId": to_global_id("Post", comment.post_id),
        "authorId": to_global_id("User", comment.author_id),
    }
    if comment.parent_id is not None:
        data["parentId"] = to_global_id("Comment", comment.parent_id)
    kind = EventType.COMMENT_ADDED if comment.is_shown else EventType.COMMENT_DELETED
    return Event(kind, comment.id, version, data["commentId"], at, data)


def comment_content(comment: CommentRecord, author: UserRecord | None) -> dict[str, Any] | None:
    """The words of a comment; None if strangers may not see them below a post that they may see."""
    if author is None or not can_view_comment(comment, author, STRANGERS):
        return None
    return {"text": comment.text, "hashtags": comment.hashtags}


def like_event(
    target_type: str,
    like_id: ObjectId,
    target_id: ObjectId,
    user_id: ObjectId,
    version: int,
    *,
    liked: bool,
    at: datetime,
) -> Event:
    """That somebody likes a post or a comment, or no longer does."""
    target = to_global_id(target_type, target_id)
    kinds = {
        ("Post", True): EventType.POST_LIKED,
        ("Post", False): EventType.POST_UNLIKED,
        ("Comment", True): EventType.COMMENT_LIKED,
        ("Comment", False): EventType.COMMENT_UNLIKED,
    }
    data = {f"{target_type.lower()}Id": target, "userId": to_global_id("User", user_id)}
    return Event(kinds[target_type, liked], like_id, version, target, at, data)


def follow_event(
    follow_id: ObjectId, follower_id: ObjectId, followee_id: ObjectId, sequence: int, *, stands: bool, at: datetime
) -> Event:
    """That one account follows another, or no longer does."""
    followee = to_global_id("User", followee_id)
    data = {"followerId": to_global_id("User", follower_id), "followeeId": followee}
    kind = EventType.USER_FOLLOWED if stands else EventType.USER_UNFOLLOWED
    return Event(kind, follow_id, sequence, followee, at, data)


def report_event(report_id: ObjectId, target: Target, reason: ReportReason, at: datetime) -> Event:
    """That somebody reported a user, a post or a comment. Who did is not told."""
    data = {
        "targetId": to_global_id(target.type.value, target.id),
        "userId": to_global_id("User", target.subject_id),
        "reason": reason.value,
    }
    return Event(EventType.REPORT_OPENED, report_id, 1, data["targetId"], at, data)


def suspension_event(decision: DecisionRecord) -> Event:
    """That an account was suspended, or banned if there is no end."""
    user = to_global_id("User", decision.subject_id)
    data = {"userId": user, **({} if decision.until is None else {"until": to_instant(decision.until)})}
    return Event(EventType.ACCOUNT_SUSPENDED, decision.id, 1, user, decision.created_at, data)


def deletion_event(user_id: ObjectId, at: datetime) -> Event:
    """That an account was deleted."""
    user = to_global_id("User", user_id)
    return Event(EventType.USER_DELETED, user_id, 1, user, at, {"userId": user})
