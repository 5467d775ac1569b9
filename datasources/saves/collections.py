"""Collections of posts: private, unless their owner makes them public or gives others a link."""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.idempotency import Idempotency, delete_keeping_keys, find_earlier
from datasources.jobs.outbox import add_pending, mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.pages import find_page
from datasources.mongo.queries import find_ids
from datasources.mongo.sharded_ids import AlwaysShardedIds, new_id
from datasources.mongo.transactions import in_transaction
from datasources.saves.collection_posts import CollectionPostStore, PostChange
from datasources.saves.savers import SaverStore
from domain.errors import NotFound
from domain.jobs import Fact, Task
from domain.paging import Page, PageRequest, cut_page
from domain.records.saves import SECRET_BYTES, CollectionRecord, split_share_key

_SCREENED = ("name", "description", "is_public", "secret", "note_changes")  # the words, and who may see them
_EMPTIED: Document = {
    "deleted": True,
    "name": "",
    "post_count": 0,
    "is_public": False,
    **dict.fromkeys(("description", "cover_post_id", "secret"), "$$REMOVE"),
}


class CollectionStore(BatchedReads[CollectionRecord]):
    """The collection `collections`. Deleted ones, which keep keys of retries for a day, are read too, and marked."""

    def __init__(
        self, database: Database, job_queue: JobQueue, savers: SaverStore, collection_posts: CollectionPostStore
    ) -> None:
        super().__init__(
            database["collections"], CollectionRecord, partial(AlwaysShardedIds().with_accounts, "owner_id")
        )
        self._client = database.client
        self._collections = database["collections"]
        self._job_queue = job_queue
        self._savers = savers
        self._posts = collection_posts

    async def create(
        self, owner_id: ObjectId, values: Mapping[str, Any], now: datetime, idempotency: Idempotency | None
    ) -> CollectionRecord:
        """A new collection without posts, its screening pending; a repeated key returns the first one. Atomic.

        Raises Refusal (TOO_MANY_COLLECTIONS, IDEMPOTENCY_KEY_REUSED, NOT_FOUND).
        """

        async def apply(session: Session) -> Document:
            document: Document = {
                "_id": new_id(owner_id),
                "owner_id": owner_id,
                "created_at": now,
                "post_count": 0,
                "deleted": False,
                **values,
                **(idempotency.fields() if idempotency else {}),
                **(pending_fields(self._job_queue.screening, now) if self._job_queue.screening else {}),
            }
            await self._savers.add_collection(owner_id, session)
            await self._collections.insert_one(document, session=session)
            return document

        document = await find_earlier(self._collections, "owner_id", owner_id, idempotency)
        if document is None:
            try:
                document = await in_transaction(self._client, apply)
            except DuplicateKeyError:
                document = await find_earlier(self._collections, "owner_id", owner_id, idempotency)
                if document is None:
                    raise
            await self._job_queue.enqueue_pending(Fact.COLLECTION, [document])
        return CollectionRecord.from_document(document)

    async def update(
        self,
        owner_id: ObjectId,
        collection_id: ObjectId,
        values: Mapping[str, Any],
        changes: Sequence[PostChange] = (),
        *,
        is_shared: bool | None = None,
    ) -> CollectionRecord:
        """Sets fields of an own collection (None clears one), and changes its posts; returns it as it is then.

        With `is_shared` it has a secret afterwards, or none; one that it has stays. Screening is pending if words, also
        notes of posts, or who may see it, are given. Atomic and safe to repeat. Raises NotFound for a collection
        that is not there, and for a post that is not in it.
        """
        one = {"_id": collection_id, "owner_id": owner_id, "deleted": False}
        fields: Document = {name: {"$literal": value} for name, value in values.items()}
        if is_shared is not None:
            new_secret = {"$literal": secrets.token_bytes(SECRET_BYTES)}
            fields["secret"] = {"$ifNull": ["$secret", new_secret]} if is_shared else "$$REMOVE"
        if any("note" in change.values for change in changes):
            fields["note_changes"] = {"$add": [{"$ifNull": ["$note_changes", 0]}, 1]}

        async def apply(session: Session) -> Document:
            pipeline = [{"$set": fields or {"deleted": False}}]
            if self._job_queue.screening and fields.keys() & _SCREENED:
                pipeline.append(add_pending(self._job_queue.screening, clock.now()))
            document = await self._collections.find_one_and_update(one, pipeline, return_document=True, session=session)
            if document is None:
                raise NotFound("collection", field=["collectionId"])
            cover_id = values.get("cover_post_id")
            if cover_id is not None and not await self._posts.has(owner_id, collection_id, cover_id, session):
                raise NotFound("post in this collection", field=["coverPostId"])
            await self._posts.change(owner_id, collection_id, changes, session)
            return document

        document = await in_transaction(self._client, apply)
        await self._job_queue.enqueue_pending(Fact.COLLECTION, [document])
        return CollectionRecord.from_document(document)

    async def mark_screened(self, collection: CollectionRecord) -> None:
        """Marks its screening done, unless its words, or who may see them, have changed since it was read."""
        same: Document = {name: getattr(collection, name) for name in ("owner_id", *_SCREENED)}
        if collection.note_changes == 0:
            same["note_changes"] = {"$in": [0, None]}
        await self._collections.update_one({"_id": collection.id, **same}, mark_done(Task.SCREEN))

    async def delete(self, owner_id: ObjectId, collection_id: ObjectId) -> None:
        """Deletes an own collection; its posts stay saved. Atomic and safe to repeat.

        Raises NotFound for one that is somebody else's, or that is not there.
        """
        one = {"_id": collection_id, "owner_id": owner_id}

        async def apply(session: Session) -> None:
            if await delete_keeping_keys(self._collections, {**one, "deleted": False}, _EMPTIED, session):
                await self._posts.delete_of_collection(owner_id, collection_id, session)
                await self._savers.remove_collection(owner_id, session)
            elif not await self._collections.count_documents(one, limit=1, session=session):
                raise NotFound("collection", field=["collectionId"])

        await in_transaction(self._client, apply)

    async def of_owner(self, owner_id: ObjectId, request: PageRequest, *, only_public: bool) -> Page[ObjectId]:
        """The ids of an account's collections, newest first."""
        query: Document = {"owner_id": owner_id, "deleted": False, **({"is_public": True} if only_public else {})}
        rows = await find_page(self._collections, query, request.expects(ObjectId), projection={"_id": 1})
        return cut_page(request, [(row["_id"], row["_id"]) for row in rows])

    async def by_posts(self, owner_id: ObjectId, post_ids: Sequence[ObjectId]) -> list[Sequence[CollectionRecord]]:
        """The collections of an account that hold each of these posts, in their order; two operations at most."""
        ids = await self._posts.collections_of(owner_id, post_ids)
        wanted = list({collection_id for of_post in ids.values() for collection_id in of_post})
        found = await self.readable_by_ids(wanted) if wanted else []
        collections = {each.id: each for each in found if each is not None and not each.deleted}
        return [[collections[each] for each in ids.get(post_id, ()) if each in collections] for post_id in post_ids]

    async def shared(self, key: str) -> CollectionRecord | None:
        """The collection that a link opens; None for a link that is none, or not any more."""
        parts = split_share_key(key)
        if parts is None:
            return None
        (collection,) = await self.readable_by_ids([parts[0]])
        if collection is None or collection.deleted or collection.secret is None:
            return None
        return collection if hmac.compare_digest(collection.secret, parts[1]) else None

    async def erase(self, owner_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` collections of a deleted account; whether there were any. Safe to repeat."""
        ids = await find_ids(self._collections, {"owner_id": owner_id}, limit=limit)
        await self._collections.delete_many({"_id": {"$in": ids}, "owner_id": owner_id})
        return bool(ids)
