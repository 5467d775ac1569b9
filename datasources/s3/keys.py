"""Keys of renditions in the media bucket: area, upload, version, and a name that no other bytes have.

The version is the image's when the file was put there. It only grows, so no key is used twice, and the deletion of old
files never meets present ones.
"""

import base64
import hashlib
from typing import NamedTuple, Self

import msgspec
from bson import ObjectId
from bson.errors import InvalidId

from domain.image_formats import RenditionFormat, SourceFormat
from domain.records.images import ImageRecord
from domain.records.uploads import UploadRecord
from domain.visibility import Area


class MediaKey(NamedTuple):
    """The parts of a key; `str` joins them."""

    area: Area
    upload_id: ObjectId
    version: int
    name: str

    def __str__(self) -> str:
        return f"{prefix(self.area, self.upload_id)}{self.version}/{self.name}"

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """The parts of a key of ours, None for any other."""
        try:
            area, upload_id, version, name = key.split("/")
            parsed = cls(Area(area), ObjectId(upload_id), int(version), name)
        except (ValueError, InvalidId):
            return None
        return parsed if str(parsed) == key else None


def media_key(
    area: Area, upload_id: ObjectId, data: bytes, file_format: RenditionFormat, width: int, version: int = 0
) -> str:
    """The key of a new rendition: the same for the same bytes of the same upload, else another one.

    The upload is in it, so that deleting one post's files never deletes equal bytes of another post.
    """
    digest = hashlib.sha256(data).hexdigest()[:32]
    return str(MediaKey(area, upload_id, version, f"{digest}-{width}.{_extension(file_format)}"))


def original_key(upload: UploadRecord) -> str:
    """The key of the file that a client sent, if it is kept."""
    digest = base64.b64decode(upload.sha256).hex()[:32]
    return str(MediaKey(Area.ORIGINALS, upload.id, 0, f"{digest}.{_extension(upload.format)}"))


def _extension(file_format: RenditionFormat | SourceFormat) -> str:
    return "jpg" if file_format.value == "JPEG" else file_format.value.lower()


def prefix(area: Area, upload_id: ObjectId) -> str:
    """The beginning of the keys of an upload's files in one area."""
    return f"{area.value}/{upload_id}/"


_PUBLIC = f"{Area.PUBLIC.value}/"


def is_public(key: str) -> bool:
    return key.startswith(_PUBLIC)


def area_of_files(image: ImageRecord) -> Area:
    """Where an image's files are; they are moved together."""
    return Area.PUBLIC if is_in_area(image, Area.PUBLIC) else Area.PRIVATE


def is_in_area(image: ImageRecord, area: Area) -> bool:
    """Whether all of an image's files are in this area."""
    return all(is_public(rendition.key) is (area is Area.PUBLIC) for rendition in image.renditions)


def moved(image: ImageRecord, area: Area) -> ImageRecord:
    """The image with its files at new keys in this area; the caller copies them."""
    version = image.version + 1
    renditions = [
        msgspec.structs.replace(rendition, key=str(MediaKey(area, image.id, version, rendition.key.rpartition("/")[2])))
        for rendition in image.renditions
    ]
    return msgspec.structs.replace(image, version=version, renditions=renditions)


def renewed(image: ImageRecord) -> ImageRecord:
    """The image at its next version with its files where they are; others of that version are leftovers."""
    return msgspec.structs.replace(image, version=image.version + 1)


def leftovers(image: ImageRecord | None, keys: list[str]) -> list[str]:
    """Those of an upload's `keys` that its image does not use, without the original; without an image, all.

    Files of a later version are not among them: they are being moved at this moment.
    """
    if image is None:
        return keys
    used = {rendition.key for rendition in image.renditions}
    parsed = [(key, MediaKey.parse(key)) for key in keys if key not in used]
    return [
        key
        for key, parts in parsed
        if parts is None or (parts.area is not Area.ORIGINALS and parts.version <= image.version)
    ]
