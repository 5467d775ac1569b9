"""The lease of an upload that a worker is rendering: renewed while the worker lives, given back at the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from bson import ObjectId

from datasources.concurrency.tasks import cancel_tasks, keep_running
from datasources.jobs.outbox import FIRST_PAUSE
from datasources.media.uploads import UPLOAD_LEASE
from datasources.mongo import clock
from datasources.outages import is_outage
from datasources.sources import Sources
from domain.limits import RESERVATION_HOLD
from domain.records.uploads import UploadRecord

log = structlog.get_logger(__name__)

MIN_PAUSE = timedelta(seconds=2)  # before an upload whose bytes have not come is tried again, at first
MAX_PAUSE = timedelta(seconds=15)


@contextlib.asynccontextmanager
async def hold_upload(sources: Sources, upload: UploadRecord) -> AsyncIterator[None]:
    """Renews the lease of a claimed upload while the block runs, and gives it back at the end.

    What is pending for the upload is then due again soon. After a failure the pause is a quarter of the upload's age:
    who waits for the upload waits at most a quarter longer.
    """
    try:
        async with _renewed_lease(sources, upload.id):
            yield
    except BaseException:
        now = clock.now()
        pause = min(max((now - upload.created_at) / 4, MIN_PAUSE), MAX_PAUSE)
        if now < (lapses_at := upload.created_at + RESERVATION_HOLD):
            pause = min(pause, lapses_at - now)
        await sources.uploads.release(upload.id, now + pause)
        raise
    await sources.uploads.release(upload.id, clock.now() + FIRST_PAUSE)


@contextlib.asynccontextmanager
async def _renewed_lease(sources: Sources, upload_id: ObjectId) -> AsyncIterator[None]:
    async def renew() -> None:
        while True:
            await asyncio.sleep(UPLOAD_LEASE.total_seconds() / 3)
            try:
                await sources.uploads.renew(upload_id, clock.now())
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("upload.lease_not_renewed", error=type(error).__name__)

    renewing = asyncio.create_task(keep_running("renew upload lease", renew))
    try:
        yield
    finally:
        await cancel_tasks([renewing])
