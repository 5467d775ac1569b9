"""Accounts and their sessions."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.images import ImageRecord
from domain.records.record import Stored


class UserState(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


class UserRecord(Stored, frozen=True, kw_only=True):
    """An account as others may see it; secrets and addresses are not in it.

    `version` grows whenever what decides about its files changes.
    """

    username: str
    display_name: str
    biography: str | None = None
    website: str | None = None
    avatar: ImageRecord | None = None
    is_private: bool = False
    state: UserState = UserState.ACTIVE
    created_at: datetime
    post_count: int = 0
    follower_count: int = 0
    following_count: int = 0
    version: int = 0


class SessionRecord(Stored, frozen=True, kw_only=True):
    """A login on one device; `access_expires_at` is when the token expires by which it was found."""

    user_id: ObjectId
    client_name: str | None = None
    created_at: datetime
    last_used_at: datetime
    access_expires_at: datetime
