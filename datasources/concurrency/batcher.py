"""Group commit: calls that come while one is under way go together in the next.

Nothing waits for company: a lone call goes at once, and the busier a process is, the larger its groups grow (the idea
is that of databases' log writers). Waiting for one's turn is part of the time that one has: nobody waits for the outage
of a server once for the others and then once more.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bson import ObjectId
from pymongo import timeout
from pymongo.errors import BulkWriteError, DuplicateKeyError
from redis.exceptions import RedisError

from datasources.mongo.client import (
    DUPLICATE_KEY,
    Collection,
    Document,
    Readable,
    find_by_ids,
    is_mongo_outage,
    time_limit,
)
from datasources.mongo.readable import readable
from domain.records.record import Record

Item = TypeVar("Item")
Result = TypeVar("Result")
Found = TypeVar("Found", bound=Record)

MAX_BATCH = 32  # reads by id, or inserts, that become one


class Late(TimeoutError):
    """What was asked for together with others did not come in time: an outage, like every TimeoutError."""


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Item, Result]):
    """One caller's item, where its result goes, and when the caller stops waiting (in the loop's time)."""

    item: Item
    future: asyncio.Future[Result]
    until: float


class Batcher(Generic[Item, Result]):
    """Does the work of many simultaneous callers in few calls.

    `work` gets up to `most` items, in the order they came, and returns for each a result or the exception to raise
    to its caller; what it raises goes to all of them, and an outage also to those who wait for the next call. It begins
    after every one of the items was given, so a read sees what its caller wrote before.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: list[_Asked[Item, Result]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item, within: float | None = None) -> Result:
        """The result for one item. Raises Late after `within` seconds, those in line included.

        A caller that is cancelled, or late, leaves the work to the others; its item is done with theirs.
        """
        loop = asyncio.get_running_loop()
        until = math.inf if within is None else loop.time() + within
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append(_Asked(item, future, until))
        if self._task is None or self._task.done():
            # A context of its own: the work is no caller's, and neither are its time limits and log fields.
            self._task = asyncio.create_task(self._run(), name="gathering", context=Context())
        if within is None:
            return await future
        try:
            async with asyncio.timeout_at(until):
                return await future
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                return future.result()  # it came at the last moment, or is what the work itself raised
            raise Late(f"no result after {within} s") from error

    async def _run(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                with _deadline(max(asked.until for asked in some)):
                    results = await self._work([asked.item for asked in some])
            except Exception as error:  # noqa: BLE001  it is the callers' business
                if _is_outage(error):
                    some, self._waiting = [*some, *self._waiting], []
                results = [error] * len(some)
            except BaseException:
                for asked in (*some, *self._waiting):
                    asked.future.cancel()
                raise
            for asked, result in zip(some, results, strict=True):
                if asked.future.done():
                    continue
                if isinstance(result, Exception):
                    asked.future.set_exception(result)
                else:
                    asked.future.set_result(result)


def _deadline(until: float) -> AbstractContextManager[object]:
    """Ends what is asked of MongoDB in the block when nobody waits for it any more."""
    left = until - asyncio.get_running_loop().time()
    return nullcontext() if math.isinf(left) else timeout(max(left, 0.001))


def _is_outage(error: Exception) -> bool:
    return is_mongo_outage(error) or isinstance(error, RedisError | OSError)  # TimeoutError is an OSError


class Reads(Generic[Found]):
    """Reads by id that simultaneous callers share: what one asks for, and what others do, is found in one operation."""

    def __init__(self, collection: Readable, kind: type[Found], **options: Any) -> None:
        self._collection = collection
        self._kind = kind  # made for each caller anew, so that an unreadable document fails only those who ask for it
        self._options = options
        self._limit = time_limit(collection)
        self._reads: Batcher[Sequence[ObjectId], Mapping[ObjectId, Document]] = Batcher(self._read, MAX_BATCH)

    async def by_ids(self, ids: Sequence[ObjectId]) -> list[Found | None]:
        """What was found, in the order of `ids`, None for a missing one. Raises ValidationError for an unreadable one.

        For those who act upon it; who shows it asks `readable_by_ids`.
        """
        found = await self._reads.submit(ids, self._limit)
        return [self._kind.from_document(found[one]) if one in found else None for one in ids]

    async def readable_by_ids(self, ids: Sequence[ObjectId]) -> list[Found | None]:
        """What was found, in the order of `ids`, None for one that is missing or cannot be read."""
        found = await self._reads.submit(ids, self._limit)
        return [readable(self._kind, found.get(one)) for one in ids]

    async def _read(self, asked: Sequence[Sequence[ObjectId]]) -> list[Mapping[ObjectId, Document]]:
        ids = {one for some in asked for one in some}
        return [await find_by_ids(self._collection, list(ids), **self._options)] * len(asked)


class Inserts:
    """Inserts that simultaneous callers share; each is acknowledged, or refused for its key, by itself."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._limit = time_limit(collection)
        self._inserts: Batcher[Document, None] = Batcher(self._insert, MAX_BATCH)

    async def insert(self, document: Document) -> None:
        """Inserts one document. Raises DuplicateKeyError."""
        await self._inserts.submit(document, self._limit)

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
