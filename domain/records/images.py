"""Images as they are stored and shown."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import attrgetter

import msgspec
from bson import ObjectId

from domain.image_formats import RenditionFormat
from domain.records.record import Record


class RenditionRecord(Record, frozen=True, kw_only=True):
    """One size and format of an image; `key` is its place in the media bucket (see `datasources/s3/keys.py`)."""

    key: str
    format: RenditionFormat
    width: int
    height: int
    byte_size: int


class TagRecord(Record, frozen=True, kw_only=True):
    """A person tagged in an image; `x` and `y` run from 0 to 1, from the top left.

    One that `is_pending` is shown to nobody but the person, until they approve it.
    """

    user_id: ObjectId
    x: float
    y: float
    is_pending: bool = False


def can_see_tag(tag: TagRecord, viewer_id: ObjectId | None) -> bool:
    """Whether a tag is one for this viewer: a pending one is for the tagged person alone."""
    return not tag.is_pending or tag.user_id == viewer_id


class ImageRecord(Record, frozen=True, kw_only=True, dict=True):
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

    @cached_property
    def renditions_by_format(self) -> Mapping[RenditionFormat, Sequence[RenditionRecord]]:
        """Its renditions of each format that it has, the narrowest first."""
        return {
            format_: sorted((each for each in self.renditions if each.format is format_), key=attrgetter("width"))
            for format_ in {each.format for each in self.renditions}
        }


class PostedImage(ImageRecord, frozen=True, kw_only=True):
    """An image with the author of its post, which the rule for tags needs; never stored."""

    author_id: ObjectId

    @classmethod
    def of(cls, image: ImageRecord, author_id: ObjectId) -> "PostedImage":
        return cls(author_id=author_id, **msgspec.structs.asdict(image))
