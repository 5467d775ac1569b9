"""Writes to a collection of which something is cached: whoever writes says which cached values become old."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

from datasources.mongo.client import Collection, Session
from datasources.mongo.transactions import after_transaction

Key = TypeVar("Key")
Invalidate = Callable[[Iterable[Key]], Awaitable[object]]


class InvalidatingWrites(Generic[Key]):
    """The only way to write to such a collection; its store otherwise holds it as a `Readable`."""

    def __init__(self, collection: Collection, invalidate: Invalidate[Key]) -> None:
        self._collection = collection
        self._invalidate = invalidate

    @contextlib.asynccontextmanager
    async def invalidating(self, keys: Iterable[Key], session: Session | None = None) -> AsyncIterator[Collection]:
        """The collection, for writes that may make the cached values of `keys` old.

        They are invalidated at the end of the block, or after the session's transaction. That is done on an error too,
        as the write may have gone through.
        """
        if session is not None:
            after_transaction(session, partial(self._invalidate, list(keys)))
            yield self._collection
            return
        try:
            yield self._collection
        finally:
            await self._invalidate(keys)

    @property
    def uncached(self) -> Collection:
        """The collection, for writes to fields that are not cached: outboxes, and what is counted."""
        return self._collection
