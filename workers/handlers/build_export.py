"""Everything that an account has is put into an archive, which is deleted after some days."""

import time

import structlog
from bson import ObjectId

from datasources.accounts.exports import ExportStore, export_prefix
from datasources.mail.outbox import mail_id_of
from datasources.mongo import clock
from datasources.s3.export_files import ExportFiles, UploadGone
from domain.jobs import Task
from domain.mails import MailKind
from domain.records.exports import ExportRecord
from workers.exporting.archive import Archive
from workers.exporting.contents import count_steps, files_of
from workers.runtime.handler import RetryLater, Tools

log = structlog.get_logger(__name__)

NOTED_EVERY = 2.0  # seconds between two notes of the progress, which renew the lease


class _Superseded(Exception):
    """The export is gone, or another worker makes it."""


async def build_export(tools: Tools, key: str) -> None:
    """Makes the archive of an export and sends it to storage while it is made.

    Safe to run twice: one call at a time has the lease, and begins anew. Nobody can fetch an archive that is not whole.
    If a worker dies or fails, the next call takes over when the lease has lapsed, and deletes what was sent. An archive
    is deleted if its export is gone when it is whole.
    """
    sources, user_id = tools.sources, ObjectId(key)
    exports, files = sources.account.exports, sources.blobs.exports
    export = await exports.pending(user_id, Task.BUILD_EXPORT)
    if export is None:
        return
    upload_id = await files.begin(export.key)
    if not await exports.start(export, upload_id, await count_steps(sources, user_id), clock.now()):
        await files.abort(export.key, upload_id)
        raise RetryLater
    await files.delete(export_prefix(user_id), but=upload_id)
    try:
        archive = await _send(tools, export, upload_id)
    except (_Superseded, UploadGone):
        await files.abort(export.key, upload_id)
        return
    await sources.mails.add(MailKind.EXPORT_READY, user_id=user_id, mail_id=mail_id_of("export", export.key))
    if not await exports.finish(export, upload_id, archive.byte_size, clock.now()):
        await _delete_if_nobodys(exports, files, export)


async def _send(tools: Tools, export: ExportRecord, upload_id: str) -> Archive:
    """Sends the archive. Raises _Superseded before it exists if the export is gone by then."""
    sources, noted_at, missing = tools.sources, time.monotonic(), 0
    archive, done = Archive(sources.blobs.exports, export.key, upload_id), 0
    async for file in files_of(sources, export.id):
        if file.data is None:
            missing += 1
        else:
            await archive.add(file.name, file.data, compressed=file.compressed)
        done += 1
        if time.monotonic() - noted_at > NOTED_EVERY:
            await _note(sources.account.exports, export, upload_id, done)
            noted_at = time.monotonic()
    await _note(sources.account.exports, export, upload_id, done)
    await archive.close()
    if missing:
        log.warning("export.images_missing", account=str(export.id), images=missing)
    return archive


async def _note(exports: ExportStore, export: ExportRecord, upload_id: str, done: int) -> None:
    if not await exports.note_progress(export, upload_id, done, clock.now()):
        raise _Superseded


async def _delete_if_nobodys(exports: ExportStore, files: ExportFiles, export: ExportRecord) -> None:
    """Deletes an archive that came too late, unless another worker makes the same one."""
    latest = await exports.find(export.id)
    if latest is None or latest.key != export.key:
        await files.delete(export.key)


async def delete_export(tools: Tools, key: str) -> None:
    """Deletes an archive that was kept for long enough, then its export. Safe to run twice and to stop half way."""
    sources, user_id = tools.sources, ObjectId(key)
    export = await sources.account.exports.pending(user_id, Task.CLEAN_UP)
    if export is not None:
        await sources.blobs.exports.delete(export.key)
        await sources.account.exports.erase(export)
