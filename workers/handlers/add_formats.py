"""Refining: images get the formats that save bytes, once every client can show them and nobody waits any more.

As a rule the media worker adds them, from the same decoding. What it could not finish, and AVIF, is made here from the
source, which stays until then.
"""

import structlog
from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.s3.keys import area_of_files
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
    """Makes the renditions that an image lacks, from its source; without one, what there is has to do.

    Safe to run twice: one worker at a time holds the upload, and what is there is not made again.
    """
    upload = await tools.sources.uploads.claim(ObjectId(key), clock.now(), Task.ADD_FORMATS)
    if upload is not None:
        async with hold_upload(tools.sources, upload):
            await _refine(tools, upload)


async def add_to_image(sources: Sources, upload_id: ObjectId, rendered: Rendered) -> None:
    """Stores further renditions where the image's files lie by now, and says so everywhere.

    Safe to repeat. An image that is deleted meanwhile stays so. Raises NotYet if others move it again and again.
    """
    for _ in range(MAX_TRIES):
        (upload,) = await sources.uploads.by_ids([upload_id])
        if upload is None or upload.image is None:
            return
        image, lacking = upload.image, _lacking(upload.image, sources.settings)
        files = [file for file in rendered.renditions if file.format in lacking]
        if not files:  # another worker took this one for dead
            return
        more = await store_renditions(sources, area_of_files(image), image.id, image.version + 1, files)
        is_all = lacking <= {file.format for file in files}
        if await sources.images.add_formats(upload.owner_id, image, more, is_all=is_all):
            return
    raise RetryLater


async def _refine(tools: Tools, upload: UploadRecord) -> None:
    sources = tools.sources
    lacking = set() if upload.image is None else _lacking(upload.image, sources.settings)
    data = await sources.blobs.read_incoming(upload.key, MAX_IMAGE_BYTES) if lacking else None
    if data is None or not upload.is_of(data):
        await sources.uploads.mark_formats_added(upload.id)
        return
    if tools.pool is None:
        raise RuntimeError("rendering needs a pool")
    try:
        rendered = await tools.pool.render(data, lacking)
    except Refusal as refusal:
        log.warning("formats.given_up", upload=str(upload.id), code=refusal.code.value)
        await sources.uploads.mark_formats_added(upload.id)
        return
    await add_to_image(sources, upload.id, rendered)


def _lacking(image: ImageRecord, settings: Settings) -> set[RenditionFormat]:
    avif = {RenditionFormat.AVIF} if settings.avif and not image.is_animated else set()
    return {*SMALLER, *avif} - {rendition.format for rendition in image.renditions}
