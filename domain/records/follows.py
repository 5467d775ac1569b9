"""Follows between accounts."""

from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored


class FollowState(StrEnum):
    NONE = "NONE"
    REQUESTED = "REQUESTED"
    FOLLOWING = "FOLLOWING"


class FollowRecord(Stored, frozen=True, kw_only=True):
    """One user's following of another; `version` grows with every change of `state`; `accepted` if it was asked for."""

    follower_id: ObjectId
    followee_id: ObjectId
    state: FollowState
    accepted: bool = False
    version: int = 0
