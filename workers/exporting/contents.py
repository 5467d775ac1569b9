"""What goes into the archives of an account: the account, its tables in pages, its images, one file after the other.

Nothing is read at one moment: what changes meanwhile is in an archive as it was before or after.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from bson import ObjectId

from datasources.mongo.client import Document
from datasources.mongo.lenient_reads import readable
from datasources.s3.keys import original_key
from datasources.sources import Sources
from domain.ids import to_global_id
from domain.image_formats import RenditionFormat
from domain.records.exports import ExportPosition
from domain.records.images import ImageRecord, RenditionRecord
from domain.records.uploads import UploadRecord, UploadStatus
from domain.visibility import can_view_profile
from workers.exporting.tables import TABLES, Person, Table, account_row

PAGE = 500  # rows of a file, and uploads read at once
IMAGES_AT_ONCE = 4  # read from storage; each may have the ten megabytes of an animation
_EXTENSIONS = {"JPEG": "jpg"}
_IMAGES = "images"
README = """Everything that your account has. It may be in several archives: this is the first one.

account.json       your account
<name>-0001.json   a table, in files of 500 rows: posts, comments, likes, follows, ...
images/            your images, named after their uploads; posts-*.json says which belong to which post

Times are in UTC. Ids are those of the API. A person whom you may not see is named by an id alone.
"""


class File(NamedTuple):
    """A file of an archive; `compressed` if compression makes it smaller. None for an image whose file is gone.

    `position` is where another archive may begin after it.
    """

    name: str
    data: bytes | None
    compressed: bool
    position: ExportPosition | None = None


async def count_steps(sources: Sources, user_id: ObjectId) -> int:
    """How many files there will be, about: for the progress that people are shown."""
    ready = {"owner_id": user_id, "status": UploadStatus.READY.value}
    return len(TABLES) + 1 + await sources.database["uploads"].count_documents(ready)


async def files_of(sources: Sources, user_id: ObjectId, start: ExportPosition | None) -> AsyncIterator[File]:
    """Every file, in order, after a position or from the first one on. Nothing for an account that is deleted.

    A position in a table that this version does not have leads to the first table: better twice than not at all.
    """
    account = await sources.database["users"].find_one({"_id": user_id, "state": {"$ne": "DELETED"}})
    if account is None:
        return
    if start is None:
        yield File("README.txt", README.encode(), compressed=True)
        yield File("account.json", orjson.dumps(account_row(account), option=orjson.OPT_INDENT_2), compressed=True)
    names = [*(table.name for table in TABLES), _IMAGES]
    first = names.index(start.table) if start is not None and start.table in names else 0
    for table in TABLES[first:]:
        here = start if start is not None and start.table == table.name else ExportPosition(table=table.name)
        number = here.number
        async for page in _pages(sources, table, user_id, here.after):
            number += 1
            data = await _rows(sources, user_id, table, page)
            position = ExportPosition(table=table.name, number=number, after=page[-1][table.sort])
            yield File(f"{table.name}-{number:04}.json", data, compressed=True, position=position)
    async for batch in _images(sources, user_id, start.after if start is not None and start.table == _IMAGES else None):
        for file in await asyncio.gather(*(_image_file(sources, upload) for upload in batch)):
            yield file


async def _pages(sources: Sources, table: Table, user_id: ObjectId, after: Any) -> AsyncIterator[list[Document]]:
    own, collection = table.query(user_id), sources.database[table.collection]
    while True:
        # Beside the conditions of the table, which may be about the same field: it is what says whose rows they are.
        query = own if after is None else {"$and": [own, {table.sort: {"$gt": after}}]}
        rows = await collection.find(query, sort=[(table.sort, 1)], limit=PAGE, hint=table.hint).to_list()
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        after = rows[-1][table.sort]


async def _rows(sources: Sources, user_id: ObjectId, table: Table, page: Sequence[Document]) -> bytes:
    rows = [table.row(document) for document in page]
    handles = await _handles(sources, user_id, {person.id for row in rows for person in _people(row)})

    def write(value: Any) -> Any:
        if isinstance(value, Person):
            return {"id": to_global_id("User", value.id), "username": handles.get(value.id)}
        raise TypeError

    return orjson.dumps(rows, default=write, option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS)


def _people(value: Any) -> Collection[Person]:
    """Those who are named in a row, at any depth."""
    match value:
        case Person():
            return [value]
        case Mapping():
            return [person for inner in value.values() for person in _people(inner)]
        case list():
            return [person for inner in value for person in _people(inner)]
    return ()


async def _handles(sources: Sources, user_id: ObjectId, ids: Collection[ObjectId]) -> dict[ObjectId, str]:
    """The handles of those of these accounts that the owner of the archive may see."""
    ids = list(ids)
    if not ids:
        return {}
    users = await sources.users.readable_by_ids(ids)
    relations = await sources.relations.by_pairs([(user_id, other_id) for other_id in ids])
    return {
        user.id: user.username
        for user, relation in zip(users, relations, strict=True)
        if user is not None and can_view_profile(user, relation)
    }


async def _images(sources: Sources, user_id: ObjectId, after: ObjectId | None) -> AsyncIterator[list[UploadRecord]]:
    """The account's images, a few at a time."""
    query: Document = {"owner_id": user_id}
    while True:
        if after is not None:
            query = {"owner_id": user_id, "_id": {"$gt": after}}
        rows = await sources.database["uploads"].find(query, sort=[("_id", 1)], limit=PAGE).to_list()
        uploads = [readable(UploadRecord, row) for row in rows]
        ready = [upload for upload in uploads if upload is not None and upload.image is not None]
        for start in range(0, len(ready), IMAGES_AT_ONCE):
            yield ready[start : start + IMAGES_AT_ONCE]
        if len(rows) < PAGE:
            return
        after = rows[-1]["_id"]


async def _image_file(sources: Sources, upload: UploadRecord) -> File:
    """The file that was sent, if it is kept, else the largest rendition."""
    name, position = f"images/{to_global_id('MediaUpload', upload.id)}", ExportPosition(table=_IMAGES, after=upload.id)
    if sources.settings.keep_originals:
        data = await sources.blobs.read_media(original_key(upload))
        if data is not None:
            return File(f"{name}.{_extension(upload.format)}", data, compressed=False, position=position)
    rendition, data = await _largest(sources, upload.image)
    if data is None:  # it was moved after it was read
        (upload_now,) = await sources.uploads.readable_by_ids([upload.id])
        rendition, data = await _largest(sources, None if upload_now is None else upload_now.image)
    name = f"{name}.{_extension(rendition.format) if rendition else ''}"
    return File(name, data, compressed=False, position=position)


async def _largest(sources: Sources, image: ImageRecord | None) -> tuple[RenditionRecord | None, bytes | None]:
    """The widest rendition that every program can show, and its bytes."""
    shown = [] if image is None else [each for each in image.renditions if each.format in _FOR_EVERYBODY]
    if not shown:
        return None, None
    widest = max(shown, key=lambda rendition: rendition.width)
    return widest, await sources.blobs.read_media(widest.key)


_FOR_EVERYBODY = (RenditionFormat.JPEG, RenditionFormat.PNG, RenditionFormat.GIF)


def _extension(file_format: RenditionFormat | Any) -> str:
    return _EXTENSIONS.get(file_format.value, file_format.value.lower())
