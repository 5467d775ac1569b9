"""What moderators work with: reports, the cases that they open, and decisions."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored
from domain.records.users import Role


class ReportReason(StrEnum):
    SPAM = "SPAM"
    HARASSMENT = "HARASSMENT"
    NUDITY = "NUDITY"
    VIOLENCE = "VIOLENCE"
    ILLEGAL = "ILLEGAL"
    OTHER = "OTHER"


class ReportTargetType(StrEnum):
    """What can be reported, named as the type of its global ids."""

    USER = "User"
    POST = "Post"
    COMMENT = "Comment"


class ModerationAction(StrEnum):
    """What moderators decide, and, in the log alone, what else changes a case or an account."""

    DISMISS = "DISMISS"
    LABEL_SENSITIVE = "LABEL_SENSITIVE"
    HIDE = "HIDE"
    REMOVE = "REMOVE"
    WARN = "WARN"
    LIMIT = "LIMIT"
    SUSPEND = "SUSPEND"
    BAN = "BAN"
    RESTORE = "RESTORE"
    APPEAL = "APPEAL"
    EXPIRE = "EXPIRE"
    SET_ROLE = "SET_ROLE"


class CaseStatus(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Target(Stored, frozen=True, kw_only=True):
    """What a report or a decision is about; the subject is the account that answers for it."""

    type: ReportTargetType
    subject_id: ObjectId


class ReportRecord(Stored, frozen=True, kw_only=True):
    """Somebody's report; `reporter_id` is None once their account is deleted.

    Of somebody without an account it is a hash, no account's id (`datasources/moderation/strangers_reports.py`).
    """

    case_id: ObjectId
    reporter_id: ObjectId | None
    reason: ReportReason
    note: str = ""
    created_at: datetime


class CaseRecord(Stored, frozen=True, kw_only=True):
    """All open reports of one target, or an appeal against the decision `appeal_of`."""

    target_type: ReportTargetType
    target_id: ObjectId
    subject_id: ObjectId
    status: CaseStatus
    created_at: datetime
    report_count: int = 0
    reasons: list[ReportReason] = []
    last_reported_at: datetime | None = None
    appeal_of: ObjectId | None = None
    appeal_text: str = ""
    claimed_by: ObjectId | None = None
    claimed_until: datetime | None = None
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.status is CaseStatus.OPEN

    @property
    def target(self) -> Target:
        return Target(id=self.target_id, type=self.target_type, subject_id=self.subject_id)

    def claimant(self, now: datetime) -> ObjectId | None:
        """Who works at the case; a claim ends by itself."""
        is_claimed = self.claimed_until is not None and self.claimed_until > now
        return self.claimed_by if is_claimed else None


class DecisionRecord(Stored, frozen=True, kw_only=True):
    """An entry of the append-only log. `moderator_id` is None for an operator, and for what happens by itself.

    Once an account is deleted, a random id stands in its place: the same one in all entries of a case. With
    `nothing_to_undo` it accepts an appeal against a warning, or against what did not hold any more.
    """

    action: ModerationAction
    case_id: ObjectId | None = None
    target_type: ReportTargetType
    target_id: ObjectId
    subject_id: ObjectId
    moderator_id: ObjectId | None = None
    reason: ReportReason | None = None
    statement: str = ""
    note: str = ""
    until: datetime | None = None
    role: Role | None = None
    appeal_of: ObjectId | None = None
    nothing_to_undo: bool = False
    created_at: datetime
