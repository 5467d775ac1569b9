"""READY images get the formats that save bytes: AVIF, and what `ingest.py` did not finish (`docs/design/images.md`)."""

import structlog
from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.s3.keys import area_of_files, folder_in
from datasources.sources import Sources
from domain.errors import Refusal
from domain.image_formats import RenditionFormat
from domain.jobs import Task
from domain.limits import MAX_IMAGE_BYTES
from domain.records.images import ImageRecord
from domain.records.uploads import UploadRecord
from workers.handlers.image_files import MAX_TRIES, store_renditions
from workers.handlers.upload_lease import hold_upload
from workers.rendering.rendered import SMALLER, Rendered
from workers.runtime.handler import RetryLater, Tools

log = structlog.get_logger(__name__)


async def add_formats(tools: Tools, key: str) -> None:
    """Makes the renditions that an image lacks, from its source. Without the source the image stays as it is.

    Safe to run twice: one worker at a time holds the upload, and renditions that are there are not made again.
    """
    upload = await tools.sources.uploads.claim(ObjectId(key), clock.now(), Task.ADD_FORMATS)
    if upload is not None:
        async with hold_upload(tools.sources, upload):
            await _add_missing_formats(tools, upload)


async def add_to_image(sources: Sources, upload_id: ObjectId, rendered: Rendered) -> None:
    """Stores further renditions beside the image's files, and records them wherever the image is shown.

    Safe to repeat. An image that is deleted meanwhile stays deleted. Raises RetryLater if others move its files during
    each of `MAX_TRIES` tries.
    """
    for _ in range(MAX_TRIES):
        (upload,) = await sources.uploads.by_ids([upload_id])
        if upload is None or upload.image is None:
            return
        image, missing = upload.image, _missing_formats(upload.image, sources.settings)
        files = [file for file in rendered.renditions if file.format in missing]
        if not files:  # another worker took over and was faster
            return
        renditions = await store_renditions(sources, area_of_files(image), folder_in(image), image.version + 1, files)
        is_all = missing <= {file.format for file in files}
        if await sources.images.add_formats(upload.owner_id, image, renditions, is_all=is_all):
            return
    raise RetryLater


async def _add_missing_formats(tools: Tools, upload: UploadRecord) -> None:
    sources = tools.sources
    missing = set() if upload.image is None else _missing_formats(upload.image, sources.settings)
    data = await sources.blobs.read_incoming(upload.key, MAX_IMAGE_BYTES) if missing else None
    if data is not None and upload.is_of(data):
        try:
            rendered = await tools.renderer.render(data, missing)
        except Refusal as refusal:
            log.warning("formats.given_up", upload=str(upload.id), code=refusal.code.value)
        else:
            await add_to_image(sources, upload.id, rendered)
            return
    await sources.uploads.mark_formats_added(upload.id)


def _missing_formats(image: ImageRecord, settings: Settings) -> set[RenditionFormat]:
    avif = {RenditionFormat.AVIF} if settings.avif and not image.is_animated else set()
    return {*SMALLER, *avif} - {rendition.format for rendition in image.renditions}
