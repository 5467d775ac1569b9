"""Accounts and their sessions."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.access_scopes import AccessScope
from domain.records.images import ImageRecord
from domain.records.record import Record, Stored


class UserState(StrEnum):
    """Where an account is in its life; nobody but its owner sees one that is not ACTIVE."""

    ACTIVE = "ACTIVE"
    DEACTIVATED = "DEACTIVATED"  # by its owner, until they log in again
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


class Role(StrEnum):
    """What an account may do beyond its own things; each role may do what those before it may."""

    MEMBER = "MEMBER"
    TRUSTED = "TRUSTED"
    MODERATOR = "MODERATOR"
    ADMINISTRATOR = "ADMINISTRATOR"

    @property
    def moderates(self) -> bool:
        """Whether the role acts upon reports."""
        return self in (Role.MODERATOR, Role.ADMINISTRATOR)


class AccountStanding(StrEnum):
    """How moderators have judged an account."""

    GOOD = "GOOD"
    LIMITED = "LIMITED"
    SUSPENDED = "SUSPENDED"
    BANNED = "BANNED"

    @property
    def restricts(self) -> bool:
        """Whether the account is hidden from others and cannot act."""
        return self in (AccountStanding.SUSPENDED, AccountStanding.BANNED)


class SensitiveContent(StrEnum):
    """How a viewer wants posts that are labelled sensitive."""

    VEIL = "VEIL"
    SHOW = "SHOW"


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
    role: Role = Role.MEMBER
    standing: AccountStanding = AccountStanding.GOOD
    created_at: datetime
    post_count: int = 0
    follower_count: int = 0
    following_count: int = 0
    version: int = 0


class Device(Record, frozen=True, kw_only=True):
    """What is known of the device that opens a session: what it calls itself, what it runs on, where it is.

    `known_as` is the hash of the token by which it is known at the next login (`KnownDevices`).
    """

    client_name: str | None = None
    platform: str | None = None
    network: str | None = None
    known_as: str | None = None


class SessionRecord(Stored, frozen=True, kw_only=True):
    """A login on one device; `access_expires_at` is when the token expires by which it was found.

    A session `is_restricted` if it was opened while the account was suspended or banned.
    `scopes` has what a personal access token may do; a login may do everything, and has none.
    """

    user_id: ObjectId
    client_name: str | None = None
    platform: str | None = None
    network: str | None = None
    known_as: str | None = None
    created_at: datetime
    last_used_at: datetime
    access_expires_at: datetime
    is_restricted: bool = False
    scopes: list[AccessScope] | None = None


class AccessTokenRecord(Stored, frozen=True, kw_only=True):
    """A personal access token, as its owner sees it."""

    user_id: ObjectId
    name: str
    scopes: list[AccessScope]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
