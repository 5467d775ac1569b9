"""What the stores return: immutable records with the names that the API shows.

A record is made from a stored document by its field names alone (`id` is stored as `_id`), so the API's plain fields
need no code. Every `datetime` is aware and in UTC.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Self

import msgspec
from bson import ObjectId

from domain.errors import UserErrorCode
from domain.limits import RenditionFormat, SourceFormat


class UserState(StrEnum):
    """Whether an account takes part."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


class PostStatus(StrEnum):
    """Where a post is in its life."""

    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"


class UploadStatus(StrEnum):
    """Where an upload is in its life."""

    AWAITING_BYTES = "AWAITING_BYTES"
    PROCESSING = "PROCESSING"
    READY = "READY"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class CommentOrder(StrEnum):
    """How comments are ordered."""

    NEWEST = "NEWEST"
    TOP = "TOP"


class FeedOrder(StrEnum):
    """How the home feed is ordered."""

    LATEST = "LATEST"
    RANKED = "RANKED"


class FollowState(StrEnum):
    """How one user follows another."""

    NONE = "NONE"
    REQUESTED = "REQUESTED"
    FOLLOWING = "FOLLOWING"


class NotificationKind(StrEnum):
    """What a notification tells."""

    POST_LIKED = "POST_LIKED"
    COMMENT_LIKED = "COMMENT_LIKED"
    COMMENTED = "COMMENTED"
    REPLIED = "REPLIED"
    MENTIONED = "MENTIONED"
    TAGGED = "TAGGED"
    FOLLOWED = "FOLLOWED"
    FOLLOW_REQUESTED = "FOLLOW_REQUESTED"
    FOLLOW_ACCEPTED = "FOLLOW_ACCEPTED"
    POST_READY = "POST_READY"
    POST_FAILED = "POST_FAILED"


def _as_it_is(_type: type, value: Any) -> Any:
    return value


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The base of everything read from or written into a document."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Takes the fields it knows and leaves the others; raises msgspec.ValidationError if one has a wrong type."""
        return msgspec.convert(document, cls, dec_hook=_as_it_is)

    def to_document(self) -> dict[str, Any]:
        """The document it was or can be stored as; enums as their values."""
        names = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        return {stored_as: _stored(getattr(self, name)) for stored_as, name in names}


def _stored(value: Any) -> Any:
    match value:
        case Record():
            return value.to_document()
        case list():
            return [_stored(item) for item in value]
        case Enum():
            return value.value
        case _:
            return value


class Stored(Record, frozen=True, kw_only=True, rename={"id": "_id"}):
    """A record that is a document of its own."""

    id: ObjectId


class RenditionRecord(Record, frozen=True, kw_only=True):
    """One size and format of an image; `key` is its place in the media bucket (see `datasources/s3/keys.py`)."""

    key: str
    format: RenditionFormat
    width: int
    height: int
    byte_size: int


class TagRecord(Record, frozen=True, kw_only=True):
    """A person tagged in an image; `x` and `y` run from 0 to 1, from the top left."""

    user_id: ObjectId
    x: float
    y: float


class ImageRecord(Record, frozen=True, kw_only=True):
    """An image as it can be shown; `id` is its upload's, `version` grows whenever its files are moved."""

    id: ObjectId
    width: int
    height: int
    blur_hash: str
    dominant_color: str
    is_animated: bool
    renditions: list[RenditionRecord]
    version: int = 0
    alt_text: str | None = None
    tagged_users: list[TagRecord] = []


class PostedImage(ImageRecord, frozen=True, kw_only=True):
    """An image with the author of its post, which the rule for tags needs; never stored."""

    author_id: ObjectId

    @classmethod
    def of(cls, image: ImageRecord, author_id: ObjectId) -> "PostedImage":
        """The image as part of a post by this author."""
        return cls(author_id=author_id, **msgspec.structs.asdict(image))


class FailureRecord(Record, frozen=True, kw_only=True):
    """Why an upload or a post could not be made."""

    code: UserErrorCode
    message: str


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


class UploadRecord(Stored, frozen=True, kw_only=True):
    """A file on its way to becoming an image; `key` is its place in the incoming bucket, `sha256` is base64.

    `post_id` is the post that was published with it; what its moved files left behind may go at `tidy_at`. With
    `is_moving`, files of the image's next version may lie somewhere.
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
    tidy_at: datetime | None = None
    is_moving: bool = False

    def is_of(self, data: bytes) -> bool:
        """Whether these are the bytes that were announced."""
        return hashlib.sha256(data).digest() == base64.b64decode(self.sha256)


class LocationRecord(Record, frozen=True, kw_only=True):
    """A place, as the author gave it."""

    name: str
    latitude: float | None = None
    longitude: float | None = None


class PostImage(Record, frozen=True, kw_only=True):
    """What the author says of one image of a post, before it is made."""

    upload_id: ObjectId
    alt_text: str | None = None
    tagged_users: list[TagRecord] = []


class PostDraft(Record, frozen=True, kw_only=True):
    """What an author gives for a new post, checked."""

    images: list[PostImage]
    caption: str = ""
    hashtags: list[str] = []
    mention_ids: list[ObjectId] = []
    location: LocationRecord | None = None
    comments_enabled: bool = True


class PostRecord(Stored, frozen=True, kw_only=True):
    """One or more photographs with a caption; `images` is empty until all of them are ready."""

    author_id: ObjectId
    caption: str
    hashtags: list[str] = []
    mention_ids: list[ObjectId] = []
    location: LocationRecord | None = None
    comments_enabled: bool = True
    status: PostStatus
    failure: FailureRecord | None = None
    image_inputs: list[PostImage] = []
    images: list[ImageRecord] = []
    created_at: datetime
    edited_at: datetime | None = None
    like_count: int = 0
    comment_count: int = 0
    preview_comment_ids: list[ObjectId] = []
    deleted: bool = False

    @property
    def posted_images(self) -> list[ImageRecord]:
        """Its images as the API shows them: a `PostedImage` where people are tagged."""
        return [PostedImage.of(one, self.author_id) if one.tagged_users else one for one in self.images]

    @property
    def tagged_ids(self) -> list[ObjectId]:
        """The people tagged in its images, once for each tag."""
        return [tag.user_id for image in self.images for tag in image.tagged_users]


class CommentRecord(Stored, frozen=True, kw_only=True):
    """Words below a post; a reply has a `parent_id`; only its author sees a `hidden` one."""

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
    deleted: bool = False

    @property
    def is_shown(self) -> bool:
        """Whether it is there for others than its author, and counts."""
        return not self.deleted and not self.hidden


class LikeRecord(Stored, frozen=True, kw_only=True):
    """One user's like of one post or comment; `counted` tells whether the target's count already has it."""

    target_id: ObjectId
    user_id: ObjectId
    liked: bool
    counted: bool = False


class FollowRecord(Stored, frozen=True, kw_only=True):
    """One user's following of another; `version` grows with every change of `state`; `accepted` if it was asked for."""

    follower_id: ObjectId
    followee_id: ObjectId
    state: FollowState
    accepted: bool = False
    version: int = 0


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


class NotificationRecord(Stored, frozen=True, kw_only=True):
    """Something that happened that the recipient cares about; `withdrawn` when all of it was taken back."""

    recipient_id: ObjectId
    kind: NotificationKind
    seq: int
    actor_ids: list[ObjectId] = []
    actor_count: int = 0
    post_id: ObjectId | None = None
    comment_id: ObjectId | None = None
    created_at: datetime
    updated_at: datetime
    is_seen: bool = False
    is_read: bool = False
    withdrawn: bool = False
