"""Exports of accounts: one for each, which is a fact as long as its archives have to be built or deleted."""

import secrets
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.dead_letters import DeadLetterStore
from datasources.jobs.outbox import add_pending, mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import find_ids
from datasources.s3.keys import account_part
from domain.jobs import Fact, Job, Task
from domain.limits import EXPORT_KEPT_DAYS, EXPORT_PAUSE_HOURS, EXPORT_RETRY_HOURS
from domain.records.exports import ArchiveRecord, ExportPosition, ExportRecord

PAUSE = timedelta(hours=EXPORT_PAUSE_HOURS)
RETRY_PAUSE = timedelta(hours=EXPORT_RETRY_HOURS)
KEPT = timedelta(days=EXPORT_KEPT_DAYS)
LEASE = timedelta(minutes=3)  # longer than any step of making an archive takes


class ExportStore:
    """The collection `exports`. The id of an export is its account's."""

    def __init__(self, database: Database, job_queue: JobQueue) -> None:
        self._exports = database["exports"]
        self._job_queue = job_queue
        self._dead_letters = DeadLetterStore(database)

    async def request(self, user_id: ObjectId, now: datetime) -> ExportRecord:
        """The export of an account: a new one, to be built, unless the last one is being built, or was requested within
        `PAUSE`, or within `RETRY_PAUSE` if it has failed.

        One atomic write. Safe to repeat and side by side. The archives of an earlier one are deleted by the builder.
        """
        new: Document = {
            "requested_at": now,
            "key": f"{export_prefix(user_id)}{secrets.token_hex(16)}",
            **pending_fields([Task.BUILD_EXPORT], now),
        }
        failed = {"dead_lettered": Task.BUILD_EXPORT.value, "requested_at": {"$lte": now - RETRY_PAUSE}}
        ready = {"byte_size": {"$exists": True}, "requested_at": {"$lte": now - PAUSE}}
        earlier = {"_id": user_id, "$or": [ready, failed]}
        export: Document | None
        try:
            export = await self._exports.find_one_and_replace(earlier, new, upsert=True, return_document=True)
        except DuplicateKeyError:
            export = await self._exports.find_one({"_id": user_id})
        if export is None:  # it was deleted in between
            return await self.request(user_id, now)
        if export["key"] == new["key"]:  # it has all its attempts, whatever became of an earlier one
            await self._dead_letters.clear_failures(_building(user_id))
        await self._job_queue.enqueue_pending(Fact.EXPORT, [export])
        return ExportRecord.from_document(export)

    async def find(self, user_id: ObjectId) -> ExportRecord | None:
        """The export of an account, if there is one."""
        return readable(ExportRecord, await self._exports.find_one({"_id": user_id}))

    async def pending(self, user_id: ObjectId, task: Task) -> ExportRecord | None:
        """An export for which this is pending."""
        export = await self._exports.find_one({"_id": user_id, "outbox": task.value})
        return None if export is None else ExportRecord.from_document(export)

    async def start(self, export: ExportRecord, upload_id: str, total: int, now: datetime) -> bool:
        """Leases an export to who makes its next archive, in place of an earlier try.

        False if it is not as it was read, or somebody holds the lease: who makes the archive renews it.
        """
        free = {"$or": [{"leased_until": None}, {"leased_until": {"$lte": now}}]}
        done = sum(archive.files for archive in export.archives)
        started = {"upload_id": upload_id, "done": done, "total": total, "leased_until": now + LEASE}
        query = {**_same(export), "upload_id": export.upload_id, "outbox": Task.BUILD_EXPORT.value, **free}
        return (await self._exports.update_one(query, {"$set": started})).matched_count == 1

    async def note_progress(self, export: ExportRecord, upload_id: str, done: int, now: datetime) -> bool:
        """Notes how many steps are made, and renews the lease; False if the export is gone, or somebody else's."""
        values = {"$set": {"done": done, "leased_until": now + LEASE}}
        query = {**_same(export), "upload_id": upload_id}
        return (await self._exports.update_one(query, values)).matched_count == 1

    async def add_archive(
        self, export: ExportRecord, upload_id: str, archive: ArchiveRecord, position: ExportPosition
    ) -> bool:
        """Adds a whole archive, and enqueues the making of the next; False if the export is gone or somebody else's.

        It has all its attempts again, and the progress stays.
        """
        query = {**_same(export), "upload_id": upload_id}
        more: Document = {
            "$push": {"archives": archive.to_document()},
            "$set": {"position": position.to_document()},
            "$unset": {"leased_until": ""},
        }
        changed = await self._exports.find_one_and_update(query, more, return_document=True)
        if changed is None:
            return False
        await self._dead_letters.clear_failures(_building(export.id))
        await self._job_queue.enqueue_pending(Fact.EXPORT, [changed])
        return True

    async def finish(self, export: ExportRecord, upload_id: str, archive: ArchiveRecord, now: datetime) -> bool:
        """Makes an export READY, with a last archive; False if it is gone or somebody else makes it."""
        archives = [*export.archives, archive]
        values: Document = {
            "archives": {"$literal": [each.to_document() for each in archives]},
            "byte_size": sum(each.byte_size for each in archives),
            "kept_until": now + KEPT,
        }
        query = {**_same(export), "upload_id": upload_id}
        ready: list[Document] = [{"$set": values}, {"$unset": ["leased_until", "position"]}]
        return (await self._exports.update_one(query, [*ready, *mark_done(Task.BUILD_EXPORT)])).matched_count == 1

    async def enqueue_expired(self, now: datetime, limit: int) -> None:
        """Makes the deletion of up to `limit` exports pending that were kept for long enough. Safe to repeat."""
        expired = {"kept_until": {"$lte": now}}
        ids = await find_ids(self._exports, expired, sort=[("kept_until", 1)], limit=limit)
        if ids:
            pipeline = [add_pending([Task.CLEAN_UP], now), {"$unset": "kept_until"}]
            await self._exports.update_many({"_id": {"$in": ids}, **expired}, pipeline)

    async def erase(self, export: ExportRecord) -> None:
        """Deletes an export whose archives are deleted, unless another was requested meanwhile. Safe to repeat."""
        await self._exports.delete_one(_same(export))


def export_prefix(user_id: ObjectId) -> str:
    """The beginning of the keys of an account's archives; as for its images, nothing in it is the account's id."""
    return f"{account_part(user_id)}/"


def _building(user_id: ObjectId) -> Job:
    return Job(Task.BUILD_EXPORT, Fact.EXPORT, str(user_id))


def _same(export: ExportRecord) -> Document:
    return {"_id": export.id, "key": export.key}
