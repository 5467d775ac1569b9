"""Reading a collection in small steps, all of it or a random sample, so that a live system hardly notices."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pymongo import timeout
from pymongo.errors import PyMongoError

from datasources.mongo.client import Document, Session
from datasources.mongo.transactions import Result
from datasources.sources import Sources

BATCH = 200
SECONDS = 60.0  # the longest one step may take: a hot post of a batch may have a million likes to add up
ATTEMPTS = 3
SNAPSHOT_GONE = {239, 246}  # SnapshotTooOld, SnapshotUnavailable

Watch = Callable[[str, int, int], None]


def unwatched(_stage: str, _done: int, _total: int) -> None:
    """Ignores the progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How to go through the collections: everything, or `sample` random documents of each.

    After each batch it rests for `pause` seconds, and calls `watch` with the stage, how many documents are done, and
    roughly of how many.
    """

    sources: Sources
    sample: int | None = None
    pause: float = 0.0
    watch: Watch = unwatched

    async def ids(self, stage: str, collection: str, *, limit: int | None = None) -> AsyncIterator[list[Any]]:
        """The ids of a collection in batches, each a short read: all in order of id, or up to `limit` random ones."""
        documents = self.sources.database[collection]
        total = await documents.estimated_document_count()
        limits = [number for number in (self.sample, limit) if number is not None]
        sample = min(limits) if limits and min(limits) < total else self.sample
        total = total if sample is None else min(total, sample)
        done = 0
        self.watch(stage, done, total)
        batches = self._all(collection) if sample is None else self._sampled(collection, sample)
        async with contextlib.aclosing(batches):
            async for batch in batches:
                yield batch
                done += len(batch)
                self.watch(stage, done, max(total, done))
                _raise_if_cancelled()
                await asyncio.sleep(self.pause)

    async def _all(self, collection: str) -> AsyncGenerator[list[Any]]:
        query: Document = {}
        while True:
            rows = self.sources.database[collection].find(query, {"_id": 1}, sort=[("_id", 1)], limit=BATCH)
            ids = [row["_id"] for row in await rows.to_list()]
            if ids:
                yield ids
            if len(ids) < BATCH:
                return
            query = {"_id": {"$gt": ids[-1]}}

    async def _sampled(self, collection: str, size: int) -> AsyncGenerator[list[Any]]:
        pipeline: list[Document] = [{"$sample": {"size": size}}, {"$project": {"_id": 1}}]
        rows = await self.sources.database[collection].aggregate(pipeline)
        ids = [row["_id"] async for row in rows]
        for start in range(0, len(ids), BATCH):
            yield ids[start : start + BATCH]


def _raise_if_cancelled() -> None:
    """Before Python 3.12 `asyncio.wait_for`, which PyMongo reads by, may swallow a cancellation, as by Ctrl-C."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def in_snapshot(sources: Sources, check: Callable[[Session], Awaitable[Result]]) -> Result:
    """What `check` returns, with all of its reads from one moment; takes a new snapshot if the server dropped it."""
    for attempt in range(ATTEMPTS):
        try:
            with timeout(SECONDS):
                async with sources.client.start_session(snapshot=True) as session:
                    return await check(session)
        except PyMongoError as error:
            if getattr(error, "code", None) not in SNAPSHOT_GONE or attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.1 * (attempt + 1))
    raise AssertionError
