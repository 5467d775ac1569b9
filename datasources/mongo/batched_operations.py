"""Operations on MongoDB that simultaneous callers share: reads by id, inserts, and what a store makes of its own."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from bson import ObjectId
from pymongo import timeout
from pymongo.errors import DuplicateKeyError

from datasources.concurrency.batcher import Batcher, Item, Result
from datasources.mongo.client import DUPLICATE_KEY, Collection, Document, Readable, is_mongo_outage, time_limit
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import Where, find_by_ids, nowhere
from datasources.mongo.upserts import insert_each
from domain.records.record import Record

Found = TypeVar("Found", bound=Record)

MAX_BATCH = 32  # reads by id, or inserts, that become one


class MongoBatcher(Batcher[Item, Result]):
    """A Batcher whose work is done by MongoDB. An operation ends when nobody waits for it any more."""

    def _is_outage(self, error: Exception) -> bool:
        return is_mongo_outage(error) or super()._is_outage(error)

    def _deadline(self, seconds: float) -> AbstractContextManager[object]:
        return nullcontext() if math.isinf(seconds) else timeout(max(seconds, 0.001))


class BatchedReads(Generic[Found]):
    """A store's reads by id: simultaneous callers' ids are found by one operation.

    `where` says where the documents of some ids lie.
    """

    def __init__(self, collection: Readable, kind: type[Found], where: Where = nowhere, **options: Any) -> None:
        self._readable = collection
        self._where = where
        self._kind = kind  # records are made for each caller, so an unreadable document fails only those who ask for it
        self._options = options
        self._limit = time_limit(collection)
        self._reads: MongoBatcher[Sequence[ObjectId], Mapping[ObjectId, Document]] = MongoBatcher(self._read, MAX_BATCH)

    async def by_ids(self, ids: Sequence[ObjectId]) -> list[Found | None]:
        """Records in the order of `ids`, None for a missing one. Raises ValidationError for an unreadable one.

        For those who act upon a record; those who show it use `readable_by_ids`.
        """
        documents = await self._reads.submit(ids, self._limit)
        return [self._kind.from_document(documents[id_]) if id_ in documents else None for id_ in ids]

    async def readable_by_ids(self, ids: Sequence[ObjectId]) -> list[Found | None]:
        """Records in the order of `ids`, None for one that is missing or cannot be read."""
        documents = await self._reads.submit(ids, self._limit)
        return [readable(self._kind, documents.get(id_)) for id_ in ids]

    def _one(self, id_: ObjectId) -> Document:
        return {"_id": id_, **self._where([id_])}

    def _each(self, ids: Sequence[ObjectId]) -> Document:
        return {"_id": {"$in": list(ids)}, **self._where(ids)}

    async def _read(self, batch: Sequence[Sequence[ObjectId]]) -> list[Mapping[ObjectId, Document]]:
        ids = {id_ for ids in batch for id_ in ids}
        return [await find_by_ids(self._readable, list(ids), self._where, **self._options)] * len(batch)


class BatchedInserts:
    """Inserts: simultaneous callers' documents go in one operation; each is acknowledged, or refused, by itself.

    By the `same` fields, which never change, a document is known that was inserted although the answer was lost.
    """

    def __init__(self, collection: Collection, same: Sequence[str]) -> None:
        self._collection = collection
        self._same = same
        self._limit = time_limit(collection)
        self._inserts: MongoBatcher[Document, None] = MongoBatcher(self._insert, MAX_BATCH)

    async def insert(self, document: Document) -> None:
        """Inserts one document. Raises DuplicateKeyError."""
        await self._inserts.submit(document, self._limit)

    async def _insert(self, documents: Sequence[Document]) -> list[Exception | None]:
        duplicates = await insert_each(self._collection, documents, self._same)
        return [
            DuplicateKeyError(duplicates[number]["errmsg"], DUPLICATE_KEY, duplicates[number])
            if number in duplicates
            else None
            for number in range(len(documents))
        ]
