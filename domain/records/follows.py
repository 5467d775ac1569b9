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
    """One user's following of another; `version` grows with every change of `state`; `accepted` if it was asked for.

    `has_stood` and `changed_at` are for those who are told of follows; see `datasources/jobs/outbox.py`.
    """

    follower_id: ObjectId
    followee_id: ObjectId
    state: FollowState
    accepted: bool = False
    version: int = 0
    has_stood: bool = False
    changed_at: datetime | None = None
