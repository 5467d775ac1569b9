"""Files on their way to becoming images."""

import base64
import hashlib
from datetime import datetime
from enum import StrEnum

from bson import ObjectId

from domain.errors import UserErrorCode
from domain.image_formats import SourceFormat
from domain.limits import UPLOAD_LATENESS
from domain.records.images import ImageRecord
from domain.records.record import Record, Stored


class UploadStatus(StrEnum):
    AWAITING_BYTES = "AWAITING_BYTES"
    PROCESSING = "PROCESSING"
    READY = "READY"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class FailureRecord(Record, frozen=True, kw_only=True):
    code: UserErrorCode
    message: str


class UploadRecord(Stored, frozen=True, kw_only=True):
    """A file on its way to becoming an image; `key` is its place in the incoming bucket, `sha256` is base64.

    `post_id` is the post that was published with it; what its moved files left behind may go at `clean_up_at`. With
    `is_moving`, files of the image's next version may lie somewhere. `placed_for` is the post in whose folder public
    files may lie. Without `has_account_folder`, files may have keys of the form before accounts were in them.
    """

    owner_id: ObjectId
    status: UploadStatus
    format: SourceFormat
    byte_size: int
    sha256: str
    key: str
    created_at: datetime
    expires_at: datetime
    image: ImageRecord | None = None
    failure: FailureRecord | None = None
    used_as_avatar: bool = False
    post_id: ObjectId | None = None
    clean_up_at: datetime | None = None
    is_moving: bool = False
    placed_for: ObjectId | None = None
    has_account_folder: bool = False

    @property
    def last_arrival(self) -> datetime:
        """Until when storage may take the file: its address has expired, and no PUT that began before still runs."""
        return self.expires_at + UPLOAD_LATENESS

    def is_of(self, data: bytes) -> bool:
        """Whether these are the bytes that were announced."""
        return hashlib.sha256(data).digest() == base64.b64decode(self.sha256)
