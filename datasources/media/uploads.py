"""Uploads: files announced, awaited, rendered or refused; for the quota they take see `quota_slots.py`."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.idempotency import Idempotency, find_earlier
from datasources.jobs.outbox import Stage, add_pending, mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.media.quota_slots import MAX_TRIES, NO_SLOTS, OPEN, Reservations
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Database, Document
from datasources.mongo.queries import find_by_ids, find_ids
from datasources.mongo.sharded_ids import ShardedIds, new_id
from datasources.redis.pubsub import News
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SourceFormat
from domain.jobs import Fact, Job, Task
from domain.records.images import ImageRecord
from domain.records.uploads import FailureRecord, UploadRecord, UploadStatus

UPLOAD_LEASE = timedelta(seconds=10)  # a worker that dies delays an upload for no longer
_WORKED_ON = [Task.INGEST.value, Task.ADD_FORMATS.value]
NOT_ARRIVED = FailureRecord(code=UserErrorCode.UPLOAD_EXPIRED, message="The file did not arrive in time.")
_CANCELLED = FailureRecord(code=UserErrorCode.UPLOAD_EXPIRED, message="This upload was cancelled.")


def new_key(upload_id: ObjectId) -> str:
    """A new key for the file of an upload, which nobody can guess. `upload_of` reads it."""
    return f"{secrets.token_urlsafe(16)}.{upload_id}"


def upload_of(key: str) -> ObjectId | None:
    """The upload whose file has this key; None for a key of another form."""
    _, _, upload_id = key.rpartition(".")
    return ObjectId(upload_id) if ObjectId.is_valid(upload_id) else None


def upload_topic(upload_id: ObjectId) -> str:
    """The topic of one upload."""
    return f"upload:{upload_id}"


class UploadStore(BatchedReads[UploadRecord]):
    """The collection `uploads`."""

    def __init__(
        self, database: Database, job_queue: JobQueue, news: News, sharded_ids: ShardedIds, *, ttl: int
    ) -> None:
        super().__init__(database["uploads"], UploadRecord, partial(sharded_ids.with_accounts, "owner_id"))
        self._uploads = database["uploads"]
        self.reservations = Reservations(self._uploads)
        self._job_queue = job_queue
        self._news = news
        self._ttl = timedelta(seconds=ttl)

    async def announce(
        self,
        owner_id: ObjectId,
        image_format: SourceFormat,
        byte_size: int,
        sha256: str,
        now: datetime,
        idempotency: Idempotency | None = None,
        counts_at: datetime | None = None,
    ) -> UploadRecord:
        """Reserves quota for a file that will come, in one insert; a replayed key gives the first upload.

        It takes quota of today, or of the day of `counts_at` (for the demo's older uploads). Of simultaneous calls as
        many pass as there is quota. Raises Refusal (QUOTA_EXCEEDED, IDEMPOTENCY_KEY_REUSED).
        """
        document = {**self._awaited(owner_id, image_format, now), "byte_size": byte_size, "sha256": sha256}
        return UploadRecord.from_document(await self._reserve(document, counts_at or now, idempotency))

    async def begin_intake(
        self,
        owner_id: ObjectId,
        image_format: SourceFormat,
        now: datetime,
        max_time: timedelta,
        idempotency: Idempotency | None = None,
    ) -> UploadRecord:
        """Reserves quota for a file that is coming through the API, within `max_time`; as `announce`.

        `sha256` is empty, unless the idempotency key is that of an earlier file. If the earlier call died on the way,
        this one takes its place. Raises Refusal also if the earlier file is still coming (IN_PROGRESS) or never came
        (UPLOAD_EXPIRED).
        """
        coming = {"sha256": "", "coming_until": now + max_time, "due_at": now + max_time}
        document = {**self._awaited(owner_id, image_format, now), "byte_size": 0, **coming}
        upload = await self._reserve(document, now, idempotency)
        if upload is not document and not upload["sha256"]:
            upload = await self._take_over(upload, coming, now)
        return UploadRecord.from_document(upload)

    async def finish_intake(self, upload: UploadRecord, byte_size: int, sha256: str) -> UploadRecord:
        """Records the file that came, before storage shows it. Raises Refusal (IN_PROGRESS) if taken over."""
        document = await self._uploads.find_one_and_update(
            {**self._one(upload.id), "key": upload.key, "status": UploadStatus.AWAITING_BYTES.value},
            {"$set": {"byte_size": byte_size, "sha256": sha256}, "$unset": {"coming_until": ""}},
            return_document=True,
        )
        if document is None:
            raise _in_progress()
        return UploadRecord.from_document(document)

    async def undo_intake(self, upload: UploadRecord) -> None:
        """Undoes `begin_intake`, unless another call took over or a worker has the bytes already."""
        query = {**self._one(upload.id), "key": upload.key, "status": UploadStatus.AWAITING_BYTES.value}
        await self._uploads.delete_one(query)

    def _awaited(self, owner_id: ObjectId, image_format: SourceFormat, now: datetime) -> Document:
        return {
            "owner_id": owner_id,
            "status": UploadStatus.AWAITING_BYTES.value,
            "format": image_format.value,
            "created_at": now,
            "expires_at": now + self._ttl,
            "has_account_folder": True,
            **pending_fields([Task.INGEST], now),
        }

    async def _reserve(self, document: Document, counts_at: datetime, idempotency: Idempotency | None) -> Document:
        """Inserts an upload with slots of the quota; returns it, or what an earlier call with the same key inserted."""
        document |= idempotency.fields() if idempotency else {}
        for _ in range(MAX_TRIES):
            first = await find_earlier(self._uploads, "owner_id", document["owner_id"], idempotency)
            if first is not None:
                return first
            slots = await self.reservations.choose_slots(document["owner_id"], counts_at)
            if counts_at == document["created_at"]:  # the demo's are of other days
                await self.reservations.check_pace(document["owner_id"])
            upload_id = new_id(document["owner_id"])
            document |= {"_id": upload_id, "key": new_key(upload_id), **slots}
            try:
                await self._uploads.insert_one(document)
            except DuplicateKeyError:
                continue  # the id is taken, or a concurrent duplicate took the slot or used the key
            return document
        raise Refusal(UserErrorCode.BUSY, "Too many uploads at once; try again.", retry_after_ms=1_000)

    async def _take_over(self, earlier: Document, coming: Document, now: datetime) -> Document:
        """Makes an earlier call's upload this call's, if that died. Raises Refusal (IN_PROGRESS, UPLOAD_EXPIRED)."""
        if earlier["status"] not in OPEN:
            message = "The file that was sent with this key did not arrive; use another one."
            raise Refusal(UserErrorCode.UPLOAD_EXPIRED, message, field=["idempotencyKey"])
        upload = await self._uploads.find_one_and_update(
            {**self._one(earlier["_id"]), "key": earlier["key"], "coming_until": {"$lte": now}},
            {"$set": {**coming, "key": new_key(earlier["_id"]), "expires_at": now + self._ttl}},
            return_document=True,
        )
        if upload is None:
            raise _in_progress()
        return upload

    async def owners(self, upload_ids: Sequence[ObjectId]) -> dict[ObjectId, ObjectId]:
        """The owner of each of these uploads that exist; one read."""
        documents = await find_by_ids(self._uploads, upload_ids, self._where, projection={"owner_id": 1})
        return {upload_id: document["owner_id"] for upload_id, document in documents.items()}

    async def check_now(self, upload_ids: Sequence[ObjectId]) -> None:
        """Enqueues the ingestion of uploads whose bytes have probably come."""
        await self._job_queue.enqueue(Job(Task.INGEST, Fact.UPLOAD, str(upload_id)) for upload_id in upload_ids)

    async def claim(self, upload_id: ObjectId, now: datetime, task: Task = Task.INGEST) -> UploadRecord | None:
        """Leases an upload for `UPLOAD_LEASE`; None if another worker has it or `task` is not pending."""
        document = await self._uploads.find_one_and_update(
            {**self._one(upload_id), "outbox": task.value, "leased_until": {"$not": {"$gt": now}}},
            {"$set": {"leased_until": now + UPLOAD_LEASE, "due_at": now + UPLOAD_LEASE}},
            return_document=True,
        )
        return None if document is None else UploadRecord.from_document(document)

    async def renew(self, upload_id: ObjectId, now: datetime) -> None:
        """Renews a lease for another `UPLOAD_LEASE`."""
        lease = {"leased_until": now + UPLOAD_LEASE, "due_at": now + UPLOAD_LEASE}
        await self._uploads.update_one({**self._one(upload_id), "outbox": {"$in": _WORKED_ON}}, {"$set": lease})

    async def release(self, upload_id: ObjectId, due_at: datetime) -> None:
        """Gives a lease back; what is still pending for the upload is due at `due_at`."""
        is_pending = {"$ne": [{"$type": "$due_at"}, "missing"]}
        next_due: Stage = {"$set": {"due_at": {"$cond": [is_pending, due_at, "$$REMOVE"]}}}
        await self._uploads.update_one(self._one(upload_id), [next_due, {"$unset": "leased_until"}])

    async def is_worked_on(self, upload_id: ObjectId, now: datetime) -> bool:
        """Whether it is being rendered or that is pending: then its source may be read and files of it stored."""
        either = [{"outbox": {"$in": _WORKED_ON}}, {"leased_until": {"$gt": now}}]
        return bool(await self._uploads.count_documents({**self._one(upload_id), "$or": either}, limit=1))

    async def confirm_arrival(self, upload: UploadRecord, now: datetime) -> bool:
        """Records that the bytes have arrived; as `Reservations.confirm_arrival`."""
        is_open = await self.reservations.confirm_arrival(upload, now)
        await self._news.publish(upload_topic(upload.id))
        return is_open

    async def record_image(self, upload_id: ObjectId, image: ImageRecord) -> None:
        """Records the image, with ADD_FORMATS pending; the lease stays. The first result stays.

        ADD_FORMATS is not enqueued: the worker with the lease goes on with it, and if it dies the relay enqueues it.
        """
        now, values = clock.now(), {"status": UploadStatus.READY.value, "image": image.to_document()}
        pending = {**pending_fields([Task.ADD_FORMATS], now), "due_at": now + UPLOAD_LEASE}
        await self._finish_once(upload_id, values | pending, {}, OPEN)

    async def mark_formats_added(self, upload_id: ObjectId) -> None:
        """Marks ADD_FORMATS done; CLEAN_UP, which deletes the source, is pending then."""
        query = {**self._one(upload_id), "outbox": Task.ADD_FORMATS.value}
        changes = [add_pending([Task.CLEAN_UP], clock.now()), *mark_done(Task.ADD_FORMATS)]
        await self._uploads.update_one(query, changes)
        await self._job_queue.enqueue([Job(Task.CLEAN_UP, Fact.UPLOAD, str(upload_id))])

    async def reject(
        self, upload_id: ObjectId, status: UploadStatus, failure: FailureRecord, *, of: Sequence[str] = OPEN
    ) -> None:
        """Records why there will be no image and gives the quota back, in one write. The first result stays."""
        values = {"status": status.value, "failure": failure.to_document()}
        pending = pending_fields([Task.CLEAN_UP], clock.now())
        document = await self._finish_once(upload_id, values | pending, {"leased_until": "", **NO_SLOTS}, of)
        if document is not None:
            await self._job_queue.enqueue_pending(Fact.UPLOAD, [document])

    async def cancel(self, upload_id: ObjectId) -> None:
        """Ends an upload whose file has not come, as `reject` does; any other stays as it is. Safe to repeat."""
        await self.reject(upload_id, UploadStatus.EXPIRED, _CANCELLED, of=[UploadStatus.AWAITING_BYTES.value])

    async def mark_cleaned(self, upload: UploadRecord) -> None:
        """Marks CLEAN_UP done, unless the image has been moved since it was read."""
        version = None if upload.image is None else upload.image.version
        await self._uploads.update_one({**self._one(upload.id), "image.version": version}, mark_done(Task.CLEAN_UP))

    async def postpone_clean_up(self, upload_id: ObjectId, due_at: datetime) -> None:
        """Postpones CLEAN_UP to `due_at` if it alone is pending; that does not count as an enqueue in vain."""
        query = {**self._one(upload_id), "outbox": [Task.CLEAN_UP.value], "due_at": {"$exists": True}}
        await self._uploads.update_one(query, {"$set": {"due_at": due_at, "enqueues": 0}})

    async def take_as_avatar(self, upload_id: ObjectId, owner_id: ObjectId) -> UploadRecord | None:
        """A ready upload of this user's that no post was made of, now kept for an avatar; else None. Safe to repeat."""
        document = await self._uploads.find_one_and_update(
            {"_id": upload_id, "owner_id": owner_id, "status": UploadStatus.READY.value},
            {"$set": {"used_as_avatar": True}},
            return_document=True,
        )
        return None if document is None else UploadRecord.from_document(document)

    async def expire(self, upload_ids: Sequence[ObjectId]) -> None:
        """Expires uploads whose files are deleted; their slots stay taken. Safe to repeat.

        CLEAN_UP is pending again, for files that a worker has stored meanwhile. It does not wait until addresses that
        were given out expire.
        """
        changes: list[Document] = [
            {"$set": {"status": UploadStatus.EXPIRED.value}},
            {"$unset": ["image", "clean_up_at"]},
            add_pending([Task.CLEAN_UP], clock.now()),
            *mark_done(Task.INGEST),
            *mark_done(Task.ADD_FORMATS),
        ]
        if upload_ids:
            await self._uploads.update_many(self._each(upload_ids), changes)
        await self._job_queue.enqueue(Job(Task.CLEAN_UP, Fact.UPLOAD, str(upload_id)) for upload_id in upload_ids)

    async def expire_of_owner(self, owner_id: ObjectId, limit: int) -> bool:
        """Expires up to `limit` uploads of one account; as `expire`. Returns whether there were any. Safe to repeat."""
        either = [{"status": {"$ne": UploadStatus.EXPIRED.value}}, {"image": {"$exists": True}}]
        ids = await find_ids(self._uploads, {"owner_id": owner_id, "$or": either}, limit=limit)
        if ids:
            await self.expire(ids)
        return bool(ids)

    async def expired_of_owner(self, owner_id: ObjectId, limit: int) -> list[UploadRecord]:
        """Up to `limit` expired uploads of one account for which nothing is pending."""
        over = {"status": UploadStatus.EXPIRED.value, "image": {"$exists": False}, "outbox": {"$exists": False}}
        rows = await self._uploads.find({"owner_id": owner_id, **over}, limit=limit).to_list()
        return [UploadRecord.from_document(row) for row in rows]

    async def erase(self, upload_ids: Sequence[ObjectId]) -> None:
        """Deletes the documents of uploads that have no files any more. Safe to repeat."""
        if upload_ids:
            await self._uploads.delete_many({**self._each(upload_ids), "outbox": {"$exists": False}})

    async def _finish_once(
        self, upload_id: ObjectId, values: Document, unset: Mapping[str, str], of: Sequence[str]
    ) -> Document | None:
        """Writes the first result of an upload that is in one of these states; returns it, or None if it is not."""
        document = await self._uploads.find_one_and_update(
            {**self._one(upload_id), "status": {"$in": of}}, {"$set": values, "$unset": unset}, return_document=True
        )
        await self._news.publish(upload_topic(upload_id))
        return document


def _in_progress() -> Refusal:
    message = "The file sent with this key is still coming."
    return Refusal(UserErrorCode.IN_PROGRESS, message, field=["idempotencyKey"], retry_after_ms=1_000)
