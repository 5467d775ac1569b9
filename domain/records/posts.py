"""Posts, and what an author gives for one."""

from datetime import datetime
from enum import StrEnum
from functools import cached_property

from bson import ObjectId

from domain.records.images import ImageRecord, PostedImage, TagRecord, can_see_tag
from domain.records.record import Record, Stored
from domain.records.uploads import FailureRecord


class PostStatus(StrEnum):
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"
    HIDDEN = "HIDDEN"
    REMOVED = "REMOVED"


class LocationRecord(Record, frozen=True, kw_only=True):
    name: str
    latitude: float | None = None
    longitude: float | None = None


class PlacedLocation(LocationRecord, frozen=True, kw_only=True):
    """A location with the place that it is of, if the post is listed under one."""

    place_id: ObjectId | None = None


class PostImage(Record, frozen=True, kw_only=True):
    """What the author gives for one image of a post, before it is rendered."""

    upload_id: ObjectId
    alt_text: str | None = None
    tagged_users: list[TagRecord] = []


class PostDraft(Record, frozen=True, kw_only=True):
    """The checked content of a new post."""

    images: list[PostImage]
    caption: str = ""
    hashtags: list[str] = []
    mention_ids: list[ObjectId] = []
    location: LocationRecord | None = None
    comments_enabled: bool = True


class PostRecord(Stored, frozen=True, kw_only=True, dict=True):
    """One or more photographs with a caption; `images` is empty until all of them are ready.

    HIDDEN and REMOVED is what moderators make of a READY one.
    """

    author_id: ObjectId
    caption: str
    hashtags: list[str] = []
    mention_ids: list[ObjectId] = []
    location: LocationRecord | None = None
    place_id: ObjectId | None = None
    comments_enabled: bool = True
    status: PostStatus
    is_sensitive: bool = False
    failure: FailureRecord | None = None
    image_inputs: list[PostImage] = []
    images: list[ImageRecord] = []
    created_at: datetime
    edited_at: datetime | None = None
    like_count: int = 0
    comment_count: int = 0
    preview_comment_ids: list[ObjectId] = []
    deleted: bool = False

    @cached_property
    def posted_images(self) -> list[ImageRecord]:
        """Its images as the API shows them: a `PostedImage` where people are tagged."""
        return [PostedImage.of(image, self.author_id) if image.tagged_users else image for image in self.images]

    @cached_property
    def placed_location(self) -> PlacedLocation | None:
        """Its location as the API shows it."""
        if self.location is None:
            return None
        at = self.location
        return PlacedLocation(name=at.name, latitude=at.latitude, longitude=at.longitude, place_id=self.place_id)

    @property
    def tagged_ids(self) -> list[ObjectId]:
        """The people tagged in its images, once for each tag."""
        return [tag.user_id for image in self.images for tag in image.tagged_users]

    def shows_tag_of(self, user_id: ObjectId, viewer_id: ObjectId | None) -> bool:
        """Whether a person is tagged in it by a tag that this viewer may be shown."""
        tags = [tag for image in self.images for tag in image.tagged_users if tag.user_id == user_id]
        return any(can_see_tag(tag, viewer_id) for tag in tags)
