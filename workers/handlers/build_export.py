"""Everything that an account has is put into archives, which are deleted after some days."""

import secrets
import time
from typing import NamedTuple

import structlog
from bson import ObjectId

from datasources.accounts.exports import ExportStore, export_prefix
from datasources.mail.outbox import mail_id_of
from datasources.mongo import clock
from datasources.s3.export_files import UploadGone
from domain.jobs import Task
from domain.limits import EXPORT_FILES_MAX
from domain.mails import MailKind
from domain.records.exports import ArchiveRecord, ExportPosition, ExportRecord
from workers.exporting.archive import Archive
from workers.exporting.contents import count_steps, files_of
from workers.runtime.handler import RetryLater, Tools

log = structlog.get_logger(__name__)

NOTED_EVERY = 2.0  # seconds between two notes of the progress, which renew the lease
ARCHIVE_SECONDS = 1_200.0  # after which an archive is closed, so that what a worker can lose by dying has a bound


class _Superseded(Exception):
    """The export is gone, or another worker makes it."""


class _Sent(NamedTuple):
    """An archive that exists, and where the next one begins; None after the last."""

    archive: ArchiveRecord
    position: ExportPosition | None


async def build_export(tools: Tools, key: str) -> None:
    """Makes the next archive of an export, sends it to storage while it is made, and enqueues the making of the next.

    Safe to run twice: one call at a time has the lease. Nobody can fetch an archive that is not whole. If a worker dies
    or fails, the next call takes over when the lease has lapsed: it deletes what was sent of that archive, and makes it
    anew. An archive is deleted if its export is gone when it is whole.
    """
    sources, user_id = tools.sources, ObjectId(key)
    exports, files = sources.account.exports, sources.blobs.exports
    export = await exports.pending(user_id, Task.BUILD_EXPORT)
    if export is None:
        return
    # A key of its own for each try: of two that make the same archive, neither replaces the other's.
    archive_key = f"{export.key}/{len(export.archives) + 1}-{secrets.token_hex(8)}.zip"
    upload_id = await files.begin(archive_key)
    if not await exports.start(export, upload_id, await count_steps(sources, user_id), clock.now()):
        await files.abort(archive_key, upload_id)
        raise RetryLater
    kept = [archive.key for archive in export.archives]
    try:
        await _note(exports, export, upload_id, sum(archive.files for archive in export.archives))
        await files.delete(export_prefix(user_id), but=upload_id, keep=kept)
        sent = await _send(tools, export, archive_key, upload_id)
    except (_Superseded, UploadGone):
        await files.abort(archive_key, upload_id)
        return
    if sent.position is not None:
        is_ours = await exports.add_archive(export, upload_id, sent.archive, sent.position)
    else:
        await sources.mails.add(MailKind.EXPORT_READY, user_id=user_id, mail_id=mail_id_of("export", export.key))
        is_ours = await exports.finish(export, upload_id, sent.archive, clock.now())
    if not is_ours:
        await files.delete(archive_key)


async def _send(tools: Tools, export: ExportRecord, key: str, upload_id: str) -> _Sent:
    """Sends an archive. Raises _Superseded before it exists if the export is gone by then."""
    sources, started, missing = tools.sources, time.monotonic(), 0
    archive, noted_at = Archive(sources.blobs.exports, key, upload_id), started
    position: ExportPosition | None = None
    done = before = sum(each.files for each in export.archives)
    is_last = len(export.archives) + 1 >= EXPORT_FILES_MAX
    async for file in files_of(sources, export.id, export.position):
        if position is not None:  # there is more than what this archive has
            break
        if file.data is None:
            missing += 1
        else:
            await archive.add(file.name, file.data, compressed=file.compressed)
        done += 1
        if time.monotonic() - noted_at > NOTED_EVERY:
            await _note(sources.account.exports, export, upload_id, done)
            noted_at = time.monotonic()
        is_full = archive.byte_size >= sources.settings.export_file_bytes
        if not is_last and (is_full or time.monotonic() - started > ARCHIVE_SECONDS):
            position = file.position
    else:
        position = None
    await _note(sources.account.exports, export, upload_id, done)
    if missing:
        log.warning("export.images_missing", account=str(export.id), images=missing)
    await archive.close()
    return _Sent(ArchiveRecord(key=key, byte_size=archive.byte_size, files=done - before), position)


async def _note(exports: ExportStore, export: ExportRecord, upload_id: str, done: int) -> None:
    if not await exports.note_progress(export, upload_id, done, clock.now()):
        raise _Superseded


async def delete_export(tools: Tools, key: str) -> None:
    """Deletes archives that were kept for long enough, then their export. Safe to run twice and to stop half way."""
    sources, user_id = tools.sources, ObjectId(key)
    export = await sources.account.exports.pending(user_id, Task.CLEAN_UP)
    if export is not None:
        await sources.blobs.exports.delete(export.key)
        await sources.account.exports.erase(export)
