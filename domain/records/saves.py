"""Posts that somebody has saved, and their collections of them."""

import base64
from datetime import datetime

from bson import ObjectId

from domain.limits import GLOBAL_ID_MAX
from domain.records.record import Record, Stored

SECRET_BYTES = 16


class SavedPost(Record, frozen=True, kw_only=True):
    """A post that somebody has saved: in the list of all, or in a collection, where it may have a note."""

    post_id: ObjectId
    saved_at: datetime
    note: str | None = None


class CollectionRecord(Stored, frozen=True, kw_only=True):
    """Somebody's collection of posts; `post_count` counts also those that nobody but its owner is told of.

    Whoever knows the `secret`, if there is one, may see the collection. `note_changes` grows with each change of notes
    of its posts.
    """

    owner_id: ObjectId
    name: str
    description: str | None = None
    cover_post_id: ObjectId | None = None
    is_public: bool = False
    secret: bytes | None = None
    post_count: int = 0
    note_changes: int = 0
    created_at: datetime
    deleted: bool = False

    @property
    def share_key(self) -> str | None:
        """What opens it to others: its id, which says where it lies, and the secret."""
        if self.secret is None:
            return None
        return base64.urlsafe_b64encode(self.id.binary + self.secret).decode().rstrip("=")


def split_share_key(key: str) -> tuple[ObjectId, bytes] | None:
    """The id and the secret of a key; None for what `share_key` cannot have made."""
    if len(key) > GLOBAL_ID_MAX:
        return None
    try:
        raw = base64.b64decode(key.encode("ascii") + b"=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return (ObjectId(raw[:12]), raw[12:]) if len(raw) == 12 + SECRET_BYTES else None
