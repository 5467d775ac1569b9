"""Comments and replies."""

from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.records.record import Stored


class CommentOrder(StrEnum):
    NEWEST = "NEWEST"
    TOP = "TOP"


class CommentRecord(Stored, frozen=True, kw_only=True):
    """A text below a post. A reply has a `parent_id`. Only its author sees a `hidden` one, and nobody a `removed` one.

    What is removed is hidden too.
    """

    post_id: ObjectId
    author_id: ObjectId
    parent_id: ObjectId | None = None
    text: str
    hashtags: list[str] = []
    mention_ids: list[ObjectId] = []
    created_at: datetime
    like_count: int = 0
    reply_count: int = 0
    hidden: bool = False
    removed: bool = False
    deleted: bool = False

    @property
    def is_shown(self) -> bool:
        """Whether others than its author see it; only then is it counted."""
        return not self.deleted and not self.hidden
