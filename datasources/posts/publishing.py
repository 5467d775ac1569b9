"""How a post comes into being: created in PROCESSING, then READY with its images, or FAILED.

One upload belongs to one post: a unique index on (author, uploads) ensures it.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.idempotency import Idempotency, find_earlier
from datasources.jobs.outbox import pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.lenient_reads import readable
from datasources.mongo.sharded_ids import ShardedIds, new_id, with_free_id
from datasources.mongo.transactions import after_transaction
from datasources.posts.cached_posts import PostCache
from datasources.redis.invalidation import InvalidatingWrites
from datasources.redis.read_through import Cache
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Fact, Job, Task
from domain.records.images import ImageRecord
from domain.records.posts import PostDraft, PostRecord, PostStatus
from domain.records.uploads import FailureRecord


class PublishingStore:
    """The collection `posts`, as far as posts are created in it and leave PROCESSING.

    `first_pages` holds the newest part of each home feed, with its owner's posts.
    """

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        cache: PostCache,
        first_pages: Cache[ObjectId, Any],
        sharded_ids: ShardedIds,
    ) -> None:
        self._posts: Readable = database["posts"]
        self._writes = InvalidatingWrites(database["posts"], cache.invalidate)
        self._first_pages = first_pages
        self._job_queue = job_queue
        self._sharded_ids = sharded_ids

    async def create(
        self,
        author_id: ObjectId,
        draft: PostDraft,
        now: datetime,
        idempotency: Idempotency | None = None,
        post_id: ObjectId | None = None,
    ) -> PostRecord:
        """A post in PROCESSING, its completion pending, in one insert; a repeated key returns the first post.

        Raises Refusal (UPLOAD_USED, IDEMPOTENCY_KEY_REUSED, NOT_FOUND).
        """
        content = draft.to_document()
        document: Document = {
            "_id": post_id or new_id(author_id),
            "author_id": author_id,
            "image_inputs": content.pop("images"),
            **content,
            "status": PostStatus.PROCESSING.value,
            "upload_ids": [image.upload_id for image in draft.images],
            "created_at": now,
            "deleted": False,
            "counted": False,
            "version": 0,
            **pending_fields([Task.COMPLETE_POST], now),
            **(idempotency.fields() if idempotency else {}),
        }
        try:
            await self._insert(document)
        except DuplicateKeyError:
            first = await find_earlier(self._posts, "author_id", author_id, idempotency)
            if first is None:
                message = "One of the uploads already belongs to a post."
                raise Refusal(UserErrorCode.UPLOAD_USED, message, field=["images"]) from None
            document = first
        await self._job_queue.enqueue_pending(Fact.POST, [document])
        return PostRecord.from_document(document)

    async def created_earlier(self, author_id: ObjectId, idempotency: Idempotency | None) -> PostRecord | None:
        """The post that an earlier call with this key created. Raises Refusal (IDEMPOTENCY_KEY_REUSED, NOT_FOUND)."""
        document = await find_earlier(self._posts, "author_id", author_id, idempotency)
        return None if document is None else PostRecord.from_document(document)

    async def of_upload(self, owner_id: ObjectId, upload_id: ObjectId) -> PostRecord | None:
        """The post that an upload belongs to."""
        return readable(PostRecord, await self._posts.find_one({"author_id": owner_id, "upload_ids": upload_id}))

    async def enqueue_for_upload(self, owner_id: ObjectId, upload_id: ObjectId) -> None:
        """Enqueues the completion of the post that waits for this upload, if there is one."""
        query = {"author_id": owner_id, "upload_ids": upload_id, "outbox": Task.COMPLETE_POST.value}
        post = await self._posts.find_one(query, projection={"_id": 1})
        if post is not None:
            await self._job_queue.enqueue([Job(Task.COMPLETE_POST, Fact.POST, str(post["_id"]))])

    async def publish(
        self, post_id: ObjectId, images: Sequence[ImageRecord], now: datetime, session: Session
    ) -> Document | None:
        """Makes a post in PROCESSING READY in the caller's transaction; returns it, to enqueue its jobs, or None."""
        tasks = [Task.COUNT, Task.NOTIFY, Task.FAN_OUT, Task.LIST, Task.MOVE_FILES, *self._job_queue.publishing]
        pending = pending_fields([*tasks, *self._job_queue.screening], now)
        values = {"status": PostStatus.READY.value, "images": [image.to_document() for image in images], **pending}
        post = await self._leave_processing(post_id, {"$set": values}, session)
        if post is not None:
            after_transaction(session, partial(self._first_pages.invalidate, [post["author_id"]]))
        return post

    async def fail(self, post_id: ObjectId, failure: FailureRecord, now: datetime) -> None:
        """Makes a post in PROCESSING FAILED and sets its good uploads free for another try. Atomic, safe to repeat."""
        pending = pending_fields([Task.NOTIFY], now)
        values = {"status": PostStatus.FAILED.value, "failure": failure.to_document(), **pending}
        document = await self._leave_processing(post_id, {"$set": values, "$unset": {"upload_ids": ""}})
        if document is not None:
            await self._job_queue.enqueue_pending(Fact.POST, [document])

    @with_free_id
    async def _insert(self, document: Document) -> None:
        async with self._writes.invalidating([document["_id"]]) as posts:
            await posts.insert_one(document)

    async def _leave_processing(
        self, post_id: ObjectId, changes: dict[str, Any], session: Session | None = None
    ) -> Document | None:
        place = self._sharded_ids.with_accounts("author_id", [post_id])
        query = {"_id": post_id, **place, "status": PostStatus.PROCESSING.value, "deleted": False}
        changes["$inc"] = {"version": 1}
        async with self._writes.invalidating([post_id], session) as posts:
            return await posts.find_one_and_update(query, changes, return_document=True, session=session)
