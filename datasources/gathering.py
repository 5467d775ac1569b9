"""Group commit: calls that come while one is under way go together in the next.

Nothing waits for company: a lone call goes at once, and the busier a process is, the larger its groups grow (the idea
is that of databases' log writers).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

from bson import ObjectId
from pymongo.errors import BulkWriteError, DuplicateKeyError

from datasources.mongo import DUPLICATE_KEY, Collection, Document, Readable, find_by_ids

Item = TypeVar("Item")
Result = TypeVar("Result")
Found = TypeVar("Found")

TOGETHER = 32  # reads by id, or inserts, that become one


class Gathering(Generic[Item, Result]):
    """Does the work of many simultaneous callers in few calls.

    `work` gets up to `most` items, in the order they came, and returns for each a result or the exception to raise
    to its caller; what it raises goes to all of them. It begins after every one of the items was given, so a read
    sees what its caller wrote before.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def of(self, item: Item) -> Result:
        """The result for one item. A caller that is cancelled leaves the work to the others."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            # A context of its own: the work is no caller's, and neither are its time limits and log fields.
            self._task = asyncio.create_task(self._run(), name="gathering", context=Context())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            futures = [future for _, future in some]
            try:
                results = await self._work([item for item, _ in some])
            except Exception as error:  # noqa: BLE001  it is the callers' business
                results = [error] * len(some)
            except BaseException:
                for future in (*futures, *(waiting for _, waiting in self._waiting)):
                    future.cancel()
                raise
            for future, result in zip(futures, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)


class Reads(Generic[Found]):
    """Reads by id that simultaneous callers share: what one asks for, and what others do, is found in one operation."""

    def __init__(self, collection: Readable, made: Callable[[Document], Found], **options: Any) -> None:
        self._collection = collection
        self._made = (
            made  # for each caller anew, so that a document that makes no sense fails only those who ask for it
        )
        self._options = options
        self._reads: Gathering[Sequence[ObjectId], Mapping[ObjectId, Document]] = Gathering(self._read, TOGETHER)

    async def by_ids(self, ids: Sequence[ObjectId]) -> list[Found | None]:
        """What was found, in the order of `ids`, None for a missing one."""
        found = await self._reads.of(ids)
        return [self._made(found[one]) if one in found else None for one in ids]

    async def _read(self, asked: Sequence[Sequence[ObjectId]]) -> list[Mapping[ObjectId, Document]]:
        ids = {one for some in asked for one in some}
        return [await find_by_ids(self._collection, list(ids), **self._options)] * len(asked)


class Inserts:
    """Inserts that simultaneous callers share; each is acknowledged, or refused for its key, by itself."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._inserts: Gathering[Document, None] = Gathering(self._insert, TOGETHER)

    async def insert(self, document: Document) -> None:
        """Inserts one document. Raises DuplicateKeyError."""
        await self._inserts.of(document)

    async def _insert(self, documents: Sequence[Document]) -> list[Exception | None]:
        ends: list[Exception | None] = [None] * len(documents)
        try:
            await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(one["code"] != DUPLICATE_KEY for one in failures):
                raise
            for one in failures:
                ends[one["index"]] = DuplicateKeyError(one["errmsg"], DUPLICATE_KEY, one)
        return ends
