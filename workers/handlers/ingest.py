"""An upload's bytes go through the renderer into storage: it gets an image, or the reason why there is none."""

from collections.abc import Mapping, Sequence

import structlog
from bson import ObjectId

from datasources.media.uploads import NOT_ARRIVED
from datasources.mongo import clock
from datasources.s3.keys import folder_of
from datasources.sources import Sources
from domain.errors import Refusal, UserErrorCode
from domain.limits import MAX_IMAGE_BYTES, RESERVATION_HOLD
from domain.records.images import ImageRecord
from domain.records.posts import PostRecord, PostStatus
from domain.records.uploads import FailureRecord, UploadRecord, UploadStatus
from domain.visibility import Area
from workers.handlers.add_formats import add_to_image
from workers.handlers.image_files import area_of_author, store_renditions
from workers.handlers.upload_lease import hold_upload
from workers.rendering.rendered import SHOWN_EVERYWHERE, SMALLER, Rendered
from workers.runtime.handler import RetryLater, Tools

log = structlog.get_logger(__name__)


async def owners(tools: Tools, keys: Sequence[str]) -> Mapping[str, ObjectId]:
    """The owner of each of these uploads, by its key; one read."""
    owner_ids = await tools.sources.uploads.owners([ObjectId(key) for key in keys])
    return {str(upload_id): owner_id for upload_id, owner_id in owner_ids.items()}


async def ingest(tools: Tools, key: str) -> None:
    """Reads an upload's bytes, checks and renders them, and records the image or why there is none.

    Raises RetryLater while the bytes may still come. Safe to run twice: one worker at a time has the upload's lease,
    the first result stays, and the same bytes give the same renditions under the same keys.
    """
    sources = tools.sources
    upload = await sources.uploads.claim(ObjectId(key), clock.now())
    if upload is not None:
        async with hold_upload(sources, upload):
            await _ingest(tools, upload)


async def _ingest(tools: Tools, upload: UploadRecord) -> None:
    sources = tools.sources
    data = await sources.blobs.read_incoming(upload.key, MAX_IMAGE_BYTES)
    if data is None:
        now = clock.now()
        if now < upload.last_arrival:
            if now >= upload.created_at + RESERVATION_HOLD:
                await sources.uploads.reservations.free_slots(upload, now)
            raise RetryLater
        await _reject(sources, upload, UploadStatus.EXPIRED, NOT_ARRIVED)
        return
    try:
        if not await sources.uploads.confirm_arrival(upload, clock.now()):
            return  # cancelled, or another worker was faster
        _check_announced(upload, data)
        await _render(tools, upload, data)
    except Refusal as refusal:
        failure = FailureRecord(code=refusal.code, message=refusal.message)
        await _reject(sources, upload, UploadStatus.REJECTED, failure)


async def _reject(sources: Sources, upload: UploadRecord, status: UploadStatus, failure: FailureRecord) -> None:
    await sources.uploads.reject(upload.id, status, failure)
    await sources.publishing.enqueue_for_upload(upload.owner_id, upload.id)


def _check_announced(upload: UploadRecord, data: bytes) -> None:
    """Raises Refusal unless these are the bytes that were announced. Not every storage checks that."""
    if len(data) > MAX_IMAGE_BYTES:
        raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, "The file is larger than 10 MiB.")
    if not upload.is_of(data):
        raise Refusal(UserErrorCode.CHECKSUM_MISMATCH, "The file that arrived is not the one announced.")


async def _render(tools: Tools, upload: UploadRecord, data: bytes) -> None:
    """Records the image as soon as it has the formats that every client can show, then adds the smaller ones."""
    sources = tools.sources
    async with tools.renderer.renderings(data, SHOWN_EVERYWHERE, SMALLER) as answers:
        await sources.uploads.record_image(upload.id, await _image(sources, upload, await anext(answers)))
        await sources.publishing.enqueue_for_upload(upload.owner_id, upload.id)
        try:
            await add_to_image(sources, upload.id, await anext(answers))
        except Exception as error:  # noqa: BLE001  the image is there, and ADD_FORMATS is still pending
            log.warning("media.formats_not_added", upload=str(upload.id), error=type(error).__name__)


async def _image(sources: Sources, upload: UploadRecord, rendered: Rendered) -> ImageRecord:
    area, folder = await _first_place(sources, upload)
    return ImageRecord(
        id=upload.id,
        width=rendered.width,
        height=rendered.height,
        blur_hash=rendered.blur_hash,
        dominant_color=rendered.dominant_color,
        is_animated=rendered.is_animated,
        renditions=await store_renditions(sources, area, folder, 0, rendered.renditions),
    )


async def _first_place(sources: Sources, upload: UploadRecord) -> tuple[Area, str]:
    """The area and folder to store files in.

    They are public if this is the last image that a public account's post waits for, so that no file must be moved.
    """
    post = await sources.publishing.of_upload(upload.owner_id, upload.id)
    if (
        post is not None
        and await _is_last_of(sources, upload, post)
        and await area_of_author(sources, upload.owner_id) is Area.PUBLIC
        and await sources.images.place_for(upload.id, post.id)
    ):
        return Area.PUBLIC, folder_of(upload.owner_id, upload.id, post.id)
    return Area.PRIVATE, folder_of(upload.owner_id, upload.id)


async def _is_last_of(sources: Sources, upload: UploadRecord, post: PostRecord) -> bool:
    """Whether a post waits for this upload alone."""
    if post.status is not PostStatus.PROCESSING or post.deleted:
        return False
    others = [image.upload_id for image in post.image_inputs if image.upload_id != upload.id]
    return all(other is not None and other.image is not None for other in await sources.uploads.by_ids(others))
