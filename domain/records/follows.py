"""Follows between accounts."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored


class FollowState(StrEnum):
    NONE = "NONE"
    REQUESTED = "REQUESTED"
    FOLLOWING = "FOLLOWING"


class FollowRecord(Stored, frozen=True, kw_only=True):
    """One user's following of another; `accepted` if it was asked for.

    `version` grows with every change. `feed_changes` counts those that no event tells: of what feeds hold, and of
    requests. `has_stood` and `changed_at` are for those who are told of follows; see `datasources/jobs/outbox.py`.
    """

    follower_id: ObjectId
    followee_id: ObjectId
    state: FollowState
    accepted: bool = False
    version: int = 0
    feed_changes: int = 0
    has_stood: bool = False
    changed_at: datetime | None = None

    @property
    def sequence(self) -> int:
        """How often the follow has begun or ended, which orders the events of the follow and is a part of their ids."""
        return self.version - self.feed_changes
