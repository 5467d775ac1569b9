"""The lease of an upload that a worker is rendering: renewed while the worker lives, given back at the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import NamedTuple

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


class Pauses(NamedTuple):
    """The pause before an upload whose bytes have not come is tried again: a part of its age, within bounds."""

    part: float
    least: timedelta
    most: timedelta


POLLING = Pauses(1 / 4, timedelta(seconds=2), timedelta(seconds=15))
REPORTED = Pauses(1, timedelta(seconds=10), timedelta(seconds=60))  # S3 reports files; these are for lost events


@contextlib.asynccontextmanager
async def hold_upload(sources: Sources, upload: UploadRecord) -> AsyncIterator[None]:
    """Renews the lease of a claimed upload while the block runs, and gives it back at the end.

    What is pending for the upload is then due again soon, after a failure as `next_pause` says.
    """
    try:
        async with _renewed_lease(sources, upload.id):
            yield
    except BaseException:
        now = clock.now()
        pauses = REPORTED if sources.settings.upload_events else POLLING
        await sources.uploads.release(upload.id, now + next_pause(upload, now, pauses))
        raise
    await sources.uploads.release(upload.id, clock.now() + FIRST_PAUSE)


def next_pause(upload: UploadRecord, now: datetime, pauses: Pauses) -> timedelta:
    """The pause until an upload is tried again. It ends when the quota lapses, and when it is too late for the file.

    While workers look for files, it is a quarter of the upload's age: who waits for it waits at most a quarter longer.
    """
    pause = min(max((now - upload.created_at) * pauses.part, pauses.least), pauses.most)
    ends = (upload.created_at + RESERVATION_HOLD, upload.last_arrival)
    return min([pause, *(end - now for end in ends if now < end)])


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
