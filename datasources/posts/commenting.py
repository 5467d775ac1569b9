"""How a comment comes into being: in one insert, or with an idempotency key in one transaction with its claim."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from datasources.jobs.claimed_keys import ClaimedKeys, KeyTaken
from datasources.jobs.idempotency import Idempotency, find_earlier, result_deleted
from datasources.jobs.outbox import pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedInserts
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.sharded_ids import COMMENT_KEY, ShardedIds, key_in, with_free_id
from datasources.mongo.transactions import in_transaction
from datasources.posts.cached_comments import CommentCache
from datasources.redis.invalidation import InvalidatingWrites
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Fact, Task
from domain.records.comments import CommentRecord
from domain.text import hashtags

_IDENTITY = (COMMENT_KEY, "post_id", "author_id", "created_at")  # these fields of a comment never change
_Earlier = tuple[ClaimedKeys, Readable]  # where the keys of earlier comments, and the comments, are read


class _Duplicate(Exception):
    """Another comment has a new one's id or key. No other try of the same transaction can help."""

    def __init__(self, error: DuplicateKeyError) -> None:
        super().__init__()
        self.error = error


class CommentingStore:
    """The collection `comments`, as far as comments are created in it."""

    def __init__(self, database: Database, job_queue: JobQueue, cache: CommentCache, sharded_ids: ShardedIds) -> None:
        self._client = database.client
        acknowledged = database.with_options(read_concern=ReadConcern("majority"))
        self._acknowledged: _Earlier = ClaimedKeys(acknowledged), acknowledged["comments"]
        self._written: _Earlier = ClaimedKeys(database), database["comments"]
        self._writes = InvalidatingWrites(database["comments"], cache.invalidate)
        self._inserts = BatchedInserts(database["comments"], same=_IDENTITY)
        self._where = sharded_ids.comments
        self._job_queue = job_queue
        self._tasks = (Task.COUNT, Task.NOTIFY, *job_queue.publishing, Task.SCREEN)

    async def add(  # noqa: PLR0913  each is a part of the comment
        self,
        post_id: ObjectId,
        author_id: ObjectId,
        text: str,
        now: datetime,
        *,
        new_id: ObjectId,
        parent_id: ObjectId | None = None,
        mention_ids: Sequence[ObjectId] = (),
        idempotency: Idempotency | None = None,
        created_at: datetime | None = None,
    ) -> CommentRecord:
        """A comment, its counting, notifying and screening pending, in one write; a repeated key returns the first.

        `new_id` lies with the post's author. If the comment has another id, it is that first one, or `new_id` was
        taken. With `created_at` it shows another date, as the demo's comments do. Raises Refusal as `added_earlier`.
        """
        document: Document = {
            "_id": new_id,
            COMMENT_KEY: key_in(new_id),
            "post_id": post_id,
            "author_id": author_id,
            "parent_id": parent_id,
            "text": text,
            "hashtags": hashtags(text),
            "mention_ids": list(mention_ids),
            "created_at": created_at or now,
            "like_count": 0,
            "reply_count": 0,
            "hidden": False,
            "deleted": False,
            "counted": False,
            **pending_fields(self._tasks, now),
            **(idempotency.fields() if idempotency else {}),
        }
        try:
            await self._insert(document)
        except KeyTaken:
            first = await self._find(self._written, author_id, idempotency)
            if first is None:  # its author's account was deleted just now, and the claim with it
                raise result_deleted() from None
            document = first
        except DuplicateKeyError:  # by the unique index that the version before made of keys
            first = await find_earlier(self._written[1], "author_id", author_id, idempotency)
            if first is None:
                raise
            document = first
        await self._job_queue.enqueue_pending(Fact.COMMENT, [document])
        return CommentRecord.from_document(document)

    async def added_earlier(self, author_id: ObjectId, idempotency: Idempotency | None) -> CommentRecord | None:
        """The comment that an earlier call with this key added.

        Snapshots contain it too. One that is being added at this moment is not found, or in a cluster IN_PROGRESS.
        Raises Refusal (IDEMPOTENCY_KEY_REUSED, NOT_FOUND, IN_PROGRESS).
        """
        first = await self._find(self._acknowledged, author_id, idempotency)
        return None if first is None else CommentRecord.from_document(first)

    async def added_at_older_version(
        self, author_id: ObjectId, idempotency: Idempotency | None
    ) -> CommentRecord | None:
        """As `added_earlier`, of a key that came to a process of the version before, which makes no claims."""
        first = await find_earlier(self._acknowledged[1], "author_id", author_id, idempotency)
        return None if first is None else CommentRecord.from_document(first)

    async def _find(self, earlier: _Earlier, author_id: ObjectId, idempotency: Idempotency | None) -> Document | None:
        keys, comments = earlier
        claim = None if idempotency is None else await keys.find(author_id, idempotency)
        if claim is None:
            return None
        comment = await comments.find_one({"_id": claim.fact_id, **self._where([claim.fact_id])})
        if comment is None and claim.may_be_ahead(clock.now()):
            raise _in_progress()
        if comment is None or comment["deleted"]:
            raise result_deleted()
        return comment

    @with_free_id
    async def _insert(self, document: Document) -> None:
        async def insert_with_key(session: Session) -> None:
            await self._written[0].claim(document, session)
            try:
                await self._writes.uncached.insert_one(document, session=session)
            except DuplicateKeyError as error:
                raise _Duplicate(error) from None

        async with self._writes.invalidating([document["_id"]]):  # who guessed the id had its absence cached
            if "idempotency_key" in document:
                try:
                    await in_transaction(self._client, insert_with_key)
                except _Duplicate as duplicate:
                    raise duplicate.error from None
            else:
                await self._inserts.insert(document)


def _in_progress() -> Refusal:
    message = "The comment sent with this key is being added."
    return Refusal(UserErrorCode.IN_PROGRESS, message, field=["idempotencyKey"], retry_after_ms=1_000)
