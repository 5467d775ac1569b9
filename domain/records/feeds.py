"""Home feeds."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored


class FeedOrder(StrEnum):
    LATEST = "LATEST"
    RANKED = "RANKED"


class FeedRecord(Stored, frozen=True, kw_only=True):
    """What is kept of a home feed; `id` is its owner's.

    While it is `live`, posts are pushed to it. Above its `floor` it holds every ready post of the authors whom its
    owner follows by a follow that has no BACKFILL pending and is not `pulled`. Without a floor, posts may be missing.
    `pulled` if its owner follows too many for posts to be pushed: then it does not become live, and has no floor.
    `version` grows when the feed becomes live, is dropped, or begins to be rebuilt: what was read of an older version
    says nothing about what the feed holds now.
    """

    live: bool = False
    pulled: bool = False
    floor: ObjectId | None = None
    seen_at: datetime | None = None
    version: int = 0

    @property
    def is_in_use(self) -> bool:
        """Whether its owner has read it lately, as far as that is noted: then it is refreshed daily."""
        return self.live or self.pulled

    def is_unseen_since(self, moment: datetime) -> bool:
        return self.seen_at is None or self.seen_at < moment
