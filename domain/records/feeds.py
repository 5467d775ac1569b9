"""Home feeds."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored


class FeedOrder(StrEnum):
    """How the home feed is ordered."""

    LATEST = "LATEST"
    RANKED = "RANKED"


class FeedRecord(Stored, frozen=True, kw_only=True):
    """What is kept of a home feed; `id` is its owner's.

    While it is `live`, posts are pushed to it. Above its `floor` it holds every ready post of those its owner follows
    by a follow that neither owes FILL nor is `pulled`; without a floor it may lack any. `version` grows when it becomes
    live or is given up, and when it begins to be rebuilt: what went before says nothing about what it holds then.
    """

    live: bool = False
    floor: ObjectId | None = None
    seen_at: datetime | None = None
    version: int = 0

    def is_unseen_since(self, moment: datetime) -> bool:
        """Whether its owner has not looked at it since."""
        return self.seen_at is None or self.seen_at < moment
