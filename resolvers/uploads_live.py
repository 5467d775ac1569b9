"""The subscription uploadUpdated: the state of one upload."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry

from datasources.media.uploads import upload_topic
from domain.errors import BadInput
from domain.ids import expect_id
from domain.records.uploads import UploadStatus
from resolvers.root_fields import subscription
from schema.context import Info
from schema.upload import MediaUpload

OPEN = (UploadStatus.AWAITING_BYTES, UploadStatus.PROCESSING)
CHECK_EVERY = 2.0  # seconds; each check also wakes the worker, for the client's PUT goes to storage


@subscription(MediaUpload | None, "Changes of one upload of the viewer's, from how it is now to how it ends.")
async def upload_updated(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The upload.")]
) -> AsyncIterator[Any]:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    upload_id = expect_id(id, "MediaUpload")
    if upload_id is None:
        raise BadInput("There is no such upload.")
    sent = None
    async with sources.news.listen(upload_topic(upload_id)) as listener:
        while True:
            listener.clear()
            (upload,) = await sources.uploads.readable_by_ids([upload_id])
            if upload is None or upload.owner_id != viewer_id:
                raise BadInput("There is no such upload.")
            if upload.status is not sent:
                sent = upload.status
                yield upload
            if upload.status not in OPEN:
                return
            await sources.uploads.check_now([upload_id])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY):
                    await listener.wait()
