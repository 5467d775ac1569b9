"""Snapshots of explore, and what moderators hold out of them."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Record, Stored


class SnapshotRecord(Stored, frozen=True, kw_only=True):
    """Posts, the best first, and names of hashtags, of which those that rise most are first."""

    post_ids: list[ObjectId] = []
    hashtags: list[str] = []
    made_at: datetime


class HeldKind(StrEnum):
    POST = "POST"
    USER = "USER"
    HASHTAG = "HASHTAG"


class HoldChange(Record, frozen=True, kw_only=True):
    """That something was held out, or let in again, by an operator."""

    is_held: bool
    reason: str
    at: datetime


class HoldRecord(Stored, frozen=True, kw_only=True):
    """What is, or was, held out, by its id: of a hashtag the topic's. `log` has the latest changes, oldest first."""

    kind: HeldKind
    name: str
    is_held: bool
    log: list[HoldChange] = []
