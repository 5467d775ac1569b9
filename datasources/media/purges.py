"""Deleting files from storage, and from the CDN that has copies of the public ones."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from bson import ObjectId

from datasources.jobs.outbox import pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from datasources.s3.keys import MediaKey, is_public
from datasources.s3.storage import Blobs
from domain.jobs import Fact, Task
from domain.records.record import Stored

MAX_KEYS = 100  # of one fact


class PurgeRecord(Stored, frozen=True, kw_only=True):
    """Public files that are deleted, and that a CDN may still have.

    `account` is what stands for their account in their keys; of files of the older form it is their upload. Without
    `deleted_at` the files may still be in storage.
    """

    account: ObjectId
    keys: list[str]
    deleted_at: datetime | None = None


class PurgeStore:
    """The media bucket, as far as files are deleted from it, and the collection `purges`."""

    def __init__(self, database: Database, job_queue: JobQueue, blobs: Blobs, *, has_cdn: bool) -> None:
        self._purges = database["purges"]
        self._job_queue = job_queue
        self._blobs = blobs
        self._has_cdn = has_cdn

    async def delete_media(self, keys: Iterable[str]) -> None:
        """Deletes files; the removal of public ones from the CDN, if there is one, is pending then. Safe to repeat.

        The fact is stored before the files are deleted, so that a process which dies between both loses nothing.
        """
        keys = list(keys)
        facts = self._facts(keys) if self._has_cdn else []
        if facts:
            await self._purges.insert_many(facts, ordered=False)
        await self._blobs.delete_media(keys)
        if facts:
            await self._mark_deleted([fact["_id"] for fact in facts])
            await self._job_queue.enqueue_pending(Fact.PURGE, facts)

    async def pending(self, account: ObjectId, limit: int) -> list[PurgeRecord]:
        """Up to `limit` facts of one account, oldest first."""
        query = {"account": account, "outbox": Task.PURGE_CDN.value}
        rows = await self._purges.find(query, sort=[("_id", 1)], limit=limit).to_list()
        return [PurgeRecord.from_document(row) for row in rows]

    async def delete_again(self, purges: Sequence[PurgeRecord]) -> None:
        """Deletes the files of facts whose process may have died before it did. Safe to repeat."""
        left = [purge for purge in purges if purge.deleted_at is None]
        if left:
            await self._blobs.delete_media(key for purge in left for key in purge.keys)
            await self._mark_deleted([purge.id for purge in left])

    async def mark_done(self, purges: Sequence[PurgeRecord]) -> None:
        """Deletes facts of which nothing is pending any more. Safe to repeat."""
        await self._purges.delete_many({"_id": {"$in": [purge.id for purge in purges]}})

    async def _mark_deleted(self, purge_ids: Sequence[ObjectId]) -> None:
        await self._purges.update_many({"_id": {"$in": list(purge_ids)}}, {"$set": {"deleted_at": clock.now()}})

    def _facts(self, keys: Sequence[str]) -> list[Document]:
        by_account = defaultdict[ObjectId, list[str]](list)
        for key in keys:
            parts = MediaKey.parse(key)
            if is_public(key) and parts is not None:
                by_account[parts.account].append(key)
        now = clock.now()
        return [
            {
                "_id": clock.new_id(),
                "account": account,
                "keys": of_account[start : start + MAX_KEYS],
                **pending_fields([Task.PURGE_CDN], now),
            }
            for account, of_account in by_account.items()
            for start in range(0, len(of_account), MAX_KEYS)
        ]
