"""Keys of renditions in the media bucket: area, folder, version, and a name that no other bytes have.

The version is the image's when the file was put there. It only grows, so no key is used twice, and the deletion of old
files never meets present ones.

The folder is `<account>/<upload>`, and in the public area `<account>/<post>/<upload>` for images of posts. So a CDN can
drop everything of an account or of a post by one path. The account's part is a hash of its id, so that no address and
no log of a CDN has the id itself. It has no key: whoever has the id, as every client may, can compute it. No access
follows from it: private files need a signature, and the name of every file has a hash of its bytes. Files that were
stored before this form have the folder `<upload>`.
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

_MAX_FOLDER_PARTS = 3


class MediaKey(NamedTuple):
    """The parts of a key; `str` joins them."""

    area: Area
    folder: str
    version: int
    name: str

    def __str__(self) -> str:
        return f"{prefix(self.area, self.folder)}{self.version}/{self.name}"

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """The parts of a key of ours, None for any other."""
        try:
            area, *ids, version, name = key.split("/")
            parsed = cls(Area(area), "/".join(str(ObjectId(each)) for each in ids), int(version), name)
        except (ValueError, InvalidId):
            return None
        return parsed if 1 <= len(ids) <= _MAX_FOLDER_PARTS and str(parsed) == key else None

    @property
    def upload_id(self) -> ObjectId:
        return ObjectId(self.folder.rpartition("/")[2])

    @property
    def account(self) -> ObjectId:
        """What stands for the account; in a key of the older form, the upload."""
        return ObjectId(self.folder.partition("/")[0])

    @property
    def post_id(self) -> ObjectId | None:
        """The post in whose folder the file is."""
        ids = self.folder.split("/")
        return ObjectId(ids[1]) if len(ids) == _MAX_FOLDER_PARTS else None


def account_part(owner_id: ObjectId) -> ObjectId:
    """What stands for an account in the keys of its files. It has the form of an id, and is no secret."""
    return ObjectId(hashlib.sha256(b"photogram media " + owner_id.binary).digest()[:12])


def folder_of(owner_id: ObjectId, upload_id: ObjectId, post_id: ObjectId | None = None) -> str:
    """The folder of an upload's files; `post_id` is given for the public files of a post."""
    return "/".join(map(str, (account_part(owner_id), *([post_id] if post_id else ()), upload_id)))


def folder_in(image: ImageRecord) -> str:
    """The folder in which an image's files are; they are moved together."""
    parts = MediaKey.parse(image.renditions[0].key)
    return str(image.id) if parts is None else parts.folder


def prefixes_of(upload: UploadRecord) -> list[str]:
    """The beginnings of all keys that an upload's files can have."""
    folder = folder_of(upload.owner_id, upload.id)
    prefixes = [prefix(area, folder) for area in Area]
    if upload.placed_for is not None:
        prefixes.append(prefix(Area.PUBLIC, folder_of(upload.owner_id, upload.id, upload.placed_for)))
    if not upload.has_account_folder:
        prefixes += [prefix(area, str(upload.id)) for area in Area]
    return prefixes


def media_key(area: Area, folder: str, data: bytes, file_format: RenditionFormat, width: int, version: int = 0) -> str:
    """The key of a new rendition: the same for the same bytes of the same upload, else another one.

    The upload is in it, so that deleting one post's files never deletes equal bytes of another post.
    """
    digest = hashlib.sha256(data).hexdigest()[:32]
    return str(MediaKey(area, folder, version, f"{digest}-{width}.{_extension(file_format)}"))


def original_key(upload: UploadRecord) -> str:
    """The key of the file that a client sent, if it is kept."""
    digest = base64.b64decode(upload.sha256).hex()[:32]
    folder = folder_of(upload.owner_id, upload.id) if upload.has_account_folder else str(upload.id)
    return str(MediaKey(Area.ORIGINALS, folder, 0, f"{digest}.{_extension(upload.format)}"))


def _extension(file_format: RenditionFormat | SourceFormat) -> str:
    return "jpg" if file_format.value == "JPEG" else file_format.value.lower()


def prefix(area: Area, folder: str) -> str:
    """The beginning of the keys of the files in a folder of an area."""
    return f"{area.value}/{folder}/"


_PUBLIC = f"{Area.PUBLIC.value}/"


def is_public(key: str) -> bool:
    return key.startswith(_PUBLIC)


def area_of_files(image: ImageRecord) -> Area:
    """Where an image's files are; they are moved together."""
    return Area.PUBLIC if is_in_area(image, Area.PUBLIC) else Area.PRIVATE


def is_in_area(image: ImageRecord, area: Area) -> bool:
    """Whether all of an image's files are in this area."""
    return all(is_public(rendition.key) is (area is Area.PUBLIC) for rendition in image.renditions)


def moved(image: ImageRecord, area: Area, folder: str) -> ImageRecord:
    """The image with its files at new keys in this folder of this area; the caller copies them."""
    version = image.version + 1
    renditions = [
        msgspec.structs.replace(rendition, key=str(MediaKey(area, folder, version, rendition.key.rpartition("/")[2])))
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
