"""Wakes the ingestion of uploads as soon as S3 reports that their files have come."""

import asyncio
import contextlib

import structlog

from datasources.jobs.queue import JobQueueOutage
from datasources.media.upload_events import open_upload_events
from datasources.sources import Sources

log = structlog.get_logger(__name__)

OUTAGE_PAUSE = 5.0


async def watch_uploads(sources: Sources, stopping: asyncio.Event) -> None:
    """Enqueues INGEST for the uploads of all events until `stopping` is set. Any number of processes may do it.

    An outage is waited out: workers look for files by themselves too, only later.
    """
    async with open_upload_events(sources.settings) as events:
        while not stopping.is_set():
            try:
                upload_ids = await events.take()
            except JobQueueOutage as outage:
                log.warning("upload_events.unreachable", error=outage.code)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(OUTAGE_PAUSE):
                        await stopping.wait()
                continue
            if upload_ids:
                await sources.uploads.check_now(upload_ids)
