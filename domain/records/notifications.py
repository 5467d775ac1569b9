"""Notifications."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored


class NotificationKind(StrEnum):
    POST_LIKED = "POST_LIKED"
    COMMENT_LIKED = "COMMENT_LIKED"
    COMMENTED = "COMMENTED"
    REPLIED = "REPLIED"
    MENTIONED = "MENTIONED"
    TAGGED = "TAGGED"
    FOLLOWED = "FOLLOWED"
    FOLLOW_REQUESTED = "FOLLOW_REQUESTED"
    FOLLOW_ACCEPTED = "FOLLOW_ACCEPTED"
    POST_READY = "POST_READY"
    POST_FAILED = "POST_FAILED"
    DECIDED = "DECIDED"


class NotificationRecord(Stored, frozen=True, kw_only=True):
    """Something that happened that the recipient cares about; `withdrawn` when all of it was taken back."""

    recipient_id: ObjectId
    kind: NotificationKind
    seq: int
    actor_ids: list[ObjectId] = []
    actor_count: int = 0
    post_id: ObjectId | None = None
    comment_id: ObjectId | None = None
    decision_id: ObjectId | None = None
    created_at: datetime
    updated_at: datetime
    is_seen: bool = False
    is_read: bool = False
    withdrawn: bool = False


def follow_group_keys(actor_id: ObjectId) -> list[str]:
    """The group keys of the notifications of one user's follows, requests to follow, and acceptances."""
    kinds = (NotificationKind.FOLLOWED, NotificationKind.FOLLOW_REQUESTED, NotificationKind.FOLLOW_ACCEPTED)
    return [f"{kind.value}:{actor_id}" for kind in kinds]
