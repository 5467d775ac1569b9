"""The media worker: takes uploads' bytes through the renderer into storage, and makes posts of them."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
from bson import ObjectId

from datasources.images import Move
from datasources.media_keys import lies_in, media_key, moved
from datasources.sources import Sources
from datasources.uploads import LEASE
from domain.errors import Refusal, UserErrorCode
from domain.limits import MAX_IMAGE_BYTES
from domain.records import (
    FailureRecord,
    ImageRecord,
    PostRecord,
    PostStatus,
    RenditionRecord,
    UploadRecord,
    UploadStatus,
)
from domain.visibility import STRANGERS, Area, can_view_content
from workers.placing import copied
from workers.rendering.rendered import Rendered
from workers.work import NotYet, Tools

LOOK_AGAIN = timedelta(seconds=2)  # how soon bytes that have not come are looked for again, at first
LOOK_AT_LAST = timedelta(seconds=15)
LATE = timedelta(seconds=30)  # a PUT that began in time may end after the address expired
EXPIRED = FailureRecord(code=UserErrorCode.UPLOAD_EXPIRED, message="The file did not arrive in time.")


async def receive(tools: Tools, key: str) -> None:
    """Looks for an upload's bytes, checks and renders them, and records the image or why there is none.

    Safe to run twice: one worker at a time holds an upload by a lease, the first result stays, and the same bytes make
    the same renditions under the same keys.
    """
    sources = tools.sources
    upload = await sources.uploads.claim(ObjectId(key), datetime.now(UTC))
    if upload is None:
        return
    try:
        async with _lease(sources, upload.id):
            await _receive(tools, upload)
    except BaseException:
        now = datetime.now(UTC)
        await sources.uploads.release(upload.id, now + _pause(now - upload.created_at))
        raise
    await sources.posts.ring_for_upload(upload.owner_id, upload.id)


def _pause(age: timedelta) -> timedelta:
    """Until an upload of this age is looked at again: who waits for it waits at most a quarter longer."""
    return min(max(age / 4, LOOK_AGAIN), LOOK_AT_LAST)


async def _receive(tools: Tools, upload: UploadRecord) -> None:
    sources = tools.sources
    data = await sources.blobs.read_incoming(upload.key, MAX_IMAGE_BYTES)
    if data is None:
        if datetime.now(UTC) < upload.expires_at + LATE:
            raise NotYet
        await sources.uploads.reject(upload.id, UploadStatus.EXPIRED, EXPIRED)
        return
    await sources.uploads.start(upload.id)
    try:
        _check_announced(upload, data)
        image = await _rendered(tools, upload, data)
    except Refusal as refusal:
        failure = FailureRecord(code=refusal.code, message=refusal.message)
        await sources.uploads.reject(upload.id, UploadStatus.REJECTED, failure)
    else:
        await sources.uploads.finish(upload.id, image)


def _check_announced(upload: UploadRecord, data: bytes) -> None:
    """Storage has checked this too; a storage that does not must not matter."""
    if len(data) > MAX_IMAGE_BYTES:
        raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, "The file is larger than 10 MiB.")
    if hashlib.sha256(data).digest() != base64.b64decode(upload.sha256):
        raise Refusal(UserErrorCode.CHECKSUM_MISMATCH, "The file that arrived is not the one announced.")


async def _rendered(tools: Tools, upload: UploadRecord, data: bytes) -> ImageRecord:
    if tools.pool is None:
        raise RuntimeError("rendering needs a pool")
    rendered = await tools.pool.render(data)
    return ImageRecord(
        id=upload.id,
        width=rendered.width,
        height=rendered.height,
        blur_hash=rendered.blur_hash,
        dominant_color=rendered.dominant_color,
        is_animated=rendered.is_animated,
        renditions=await _stored(tools.sources, upload, rendered),
    )


async def _stored(sources: Sources, upload: UploadRecord, rendered: Rendered) -> list[RenditionRecord]:
    area, records, puts = await _first_area(sources, upload), [], []
    for file in rendered.renditions:
        key = media_key(area, upload.id, file.data, file.format, file.width)
        puts.append(sources.blobs.put_media(key, file.data, file.format.media_type))
        records.append(
            RenditionRecord(key=key, format=file.format, width=file.width, height=file.height, byte_size=len(file.data))
        )
    await asyncio.gather(*puts)
    return records


async def _first_area(sources: Sources, upload: UploadRecord) -> Area:
    """The private area, unless it is the last image that a post of a public account waits for: it is moved anyway."""
    post = await sources.posts.of_upload(upload.owner_id, upload.id)
    if post is None or post.status is not PostStatus.PROCESSING or post.deleted:
        return Area.PRIVATE
    others = await sources.uploads.by_ids([one.upload_id for one in post.image_inputs if one.upload_id != upload.id])
    is_last = all(other is not None and other.image is not None for other in others)
    return await _area_of_author(sources, upload.owner_id) if is_last else Area.PRIVATE


async def _area_of_author(sources: Sources, author_id: ObjectId) -> Area:
    """Where the images of an account's ready posts belong."""
    (author,) = await sources.users.by_ids([author_id])
    return Area.PUBLIC if author is not None and can_view_content(author, STRANGERS) else Area.PRIVATE


@contextlib.asynccontextmanager
async def _lease(sources: Sources, upload_id: ObjectId) -> AsyncIterator[None]:
    """Renews the claim while the block runs."""
    over = asyncio.Event()

    async def renew() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEASE.total_seconds() / 3):
                    await over.wait()
                    return
            await sources.uploads.renew(upload_id, datetime.now(UTC))

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        # Cancelling alone may be lost: Python 3.11's `wait_for`, which PyMongo uses, swallows it when it is just done.
        over.set()
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def assemble(tools: Tools, key: str) -> None:
    """Makes a processing post READY once all its uploads are, or FAILED once one cannot be.

    A public account's files are in the public area by then. Safe to run twice: a post leaves PROCESSING once, in one
    conditional write.
    """
    sources, post_id = tools.sources, ObjectId(key)
    (post,) = await sources.posts.by_ids([post_id])
    if post is None or post.status is not PostStatus.PROCESSING or post.deleted:
        return
    uploads = await sources.uploads.by_ids([image.upload_id for image in post.image_inputs])
    failure = next((_failure(upload) for upload in uploads if _failure(upload) is not None), None)
    if failure is not None:
        await sources.posts.fail(post_id, failure, datetime.now(UTC))
        return
    images = _images(post, [upload for upload in uploads if upload is not None])
    if len(images) < len(post.image_inputs):
        await sources.uploads.hurry([upload.id for upload in uploads if upload is not None and upload.image is None])
        raise NotYet
    area = await _area_of_author(sources, post.author_id)
    moves = [Move(image, image if lies_in(image, area) else moved(image, area)) for image in images]
    there = await asyncio.gather(*(copied(sources, move) for move in moves))
    if not all(there) or not await sources.images.publish(post_id, moves, datetime.now(UTC)):
        raise NotYet


def _failure(upload: UploadRecord | None) -> FailureRecord | None:
    if upload is None or (upload.status is UploadStatus.EXPIRED and upload.failure is None):
        return EXPIRED
    return upload.failure


def _images(post: PostRecord, uploads: list[UploadRecord]) -> list[ImageRecord]:
    """The post's images, in its order, with what its author says of each."""
    return [
        msgspec.structs.replace(upload.image, alt_text=said.alt_text, tagged_users=said.tagged_users)
        for said, upload in zip(post.image_inputs, uploads, strict=True)
        if upload.image is not None
    ]
