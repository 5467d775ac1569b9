"""Uploads without a client: stored as documents, or with their files in storage."""

import base64
import hashlib
from typing import Any

import httpx2
from bson import ObjectId

from datasources.sources import Sources
from domain.image_formats import SourceFormat
from domain.records.images import ImageRecord
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now


def sha256_base64(data: bytes) -> str:
    """The checksum of a file as `createUpload` takes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


async def stored_upload(sources: Sources, upload_id: ObjectId) -> UploadRecord:
    """An upload as it is stored."""
    (upload,) = await sources.uploads.by_ids([upload_id])
    assert upload is not None
    return upload


async def files_of(sources: Sources, upload_id: ObjectId) -> list[str]:
    """The keys of all of an upload's files in the media bucket."""
    return await sources.blobs.media_of(await stored_upload(sources, upload_id))


async def insert_upload(world: World, shown: ImageRecord, owner_id: ObjectId, **fields: Any) -> None:
    """Stores the document of a READY upload of this image, without files. `fields` replace fields or add some."""
    document = {
        "_id": shown.id, "owner_id": owner_id, "status": "READY", "format": "PNG", "byte_size": 9, "sha256": "",
        "key": str(shown.id), "created_at": now(), "expires_at": now(), "image": shown.to_document(),
    }  # fmt: skip
    await world.sources.database["uploads"].insert_one(document | fields)


async def store_upload(
    world: World, owner: UserRecord, data: bytes, kind: SourceFormat = SourceFormat.JPEG
) -> UploadRecord:
    """An upload whose file is in storage. No worker hears of it."""
    upload = await world.sources.uploads.announce(owner.id, kind, len(data), sha256_base64(data), now())
    await replace_file(world, upload, data)
    return upload


async def put_file(world: World, upload: UploadRecord, data: bytes, http: httpx2.AsyncClient) -> httpx2.Response:
    """Sends a file to storage with a presigned request, as a client does."""
    url, headers = await world.sources.blobs.presign_put(
        upload.key,
        byte_size=upload.byte_size,
        media_type=upload.format.media_type,
        sha256_base64=upload.sha256,
        expires_in=600,
    )
    return await http.put(url, headers=headers, content=data)


async def replace_file(world: World, upload: UploadRecord, data: bytes) -> None:
    """Writes the file of an upload past its signature, over whatever lies there."""
    await world.sources.blobs.put_incoming(upload.key, data, upload.format.media_type)
