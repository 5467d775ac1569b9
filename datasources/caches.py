"""What is cached, for how long, and how writes forget it: whoever writes says what of it readers may have seen.

Records are cached as they are stored, for everybody; what a viewer may see of them is decided after the cache.
Relations are cached for one viewer each. Only `datasources/loaders.py` and the feed read here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

from bson import ObjectId

from datasources.feed.first_pages import FirstPages
from datasources.graph.relations import Pair
from datasources.mongo.client import Collection, Session, after_transaction
from datasources.redis.cache_server import CacheServer
from datasources.redis.read_through import Cache
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import Relation

Key = TypeVar("Key")

RECORD_SECONDS = 30.0
RELATION_SECONDS = 10.0
FIRST_PAGES_SECONDS = 60.0


class Caches:
    """The caches of records and relations, and of home feeds' windows."""

    def __init__(self, server: CacheServer) -> None:
        self._server = server
        self.posts: Cache[ObjectId, PostRecord | None] = Cache(server, "post", PostRecord | None, RECORD_SECONDS)
        self.users: Cache[ObjectId, UserRecord | None] = Cache(server, "user", UserRecord | None, RECORD_SECONDS)
        # A viewer's are in one slot of a cluster: their key's hash tag is the viewer.
        self.relations: Cache[Pair, Relation] = Cache(
            server, "relation", Relation, RELATION_SECONDS, lambda pair: f"{{{pair[0]}}}:{pair[1]}"
        )
        self.first_pages: Cache[ObjectId, FirstPages | None] = Cache(
            server, "window", FirstPages | None, FIRST_PAGES_SECONDS
        )

    async def invalidate_follows(self, pairs: Iterable[Pair]) -> None:
        """Forgets how these stand to each other, and whose posts the first of each is shown."""
        pairs = list(pairs)
        await asyncio.gather(self.relations.invalidate(pairs), self.first_pages.invalidate({pair[0] for pair in pairs}))

    async def aclose(self) -> None:
        """Ends what goes on in the background."""
        await self._server.aclose()


class Writes(Generic[Key]):
    """The way to write to a collection of which something is cached; its store has it for reading only otherwise."""

    def __init__(self, collection: Collection, invalidate: Callable[[Iterable[Key]], Awaitable[object]]) -> None:
        self._collection = collection
        self._invalidate = invalidate

    @contextlib.asynccontextmanager
    async def invalidating(self, keys: Iterable[Key], session: Session | None = None) -> AsyncIterator[Collection]:
        """The collection, for writes by which these keys' cached values may become old.

        They are forgotten when the block is left, or after the session's transaction, also by an error: nobody knows
        then whether the write went through.
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
        """The collection, for writes that change nothing of what is cached: what a fact owes, what is counted."""
        return self._collection


def both_ways(one: ObjectId, other: ObjectId) -> tuple[Pair, Pair]:
    """The two relations of two users."""
    return (one, other), (other, one)
