"""Relations as they are cached, for one viewer each, and the writes that make them old."""

import asyncio
from collections.abc import Iterable
from typing import Any

from bson import ObjectId

from datasources.graph.viewer_relations import Pair
from datasources.mongo.client import Database
from datasources.redis.cache_servers import CacheServers
from datasources.redis.invalidation import InvalidatingWrites
from datasources.redis.read_through import Cache
from domain.visibility import Relation

RELATION_SECONDS = 10.0

RelationCache = Cache[Pair, Relation]


def relation_cache(servers: CacheServers) -> RelationCache:
    # The hash tag of a key is the viewer, so that all of a viewer's keys lie in one slot of a Redis cluster.
    return Cache(servers, "relation", Relation, RELATION_SECONDS, _names)


def _names(pairs: Iterable[Pair]) -> Iterable[str]:
    return [f"{{{viewer_id.binary.hex()}}}:{user_id.binary.hex()}" for viewer_id, user_id in pairs]


class GraphWrites:
    """The ways to write to `follows`, `blocks` and `mutes`.

    A follow also decides whose posts the follower's feed shows, of which `first_pages` holds the newest part by owner,
    and whom the two know, as `known_people` holds it by viewer.
    """

    def __init__(
        self,
        database: Database,
        relations: RelationCache,
        first_pages: Cache[ObjectId, Any],
        known_people: Cache[ObjectId, Any],
    ) -> None:
        self._relations = relations
        self._by_user = first_pages, known_people
        self.follows = InvalidatingWrites(database["follows"], self._invalidate_follows)
        self.blocks = InvalidatingWrites(database["blocks"], relations.invalidate)
        self.mutes = InvalidatingWrites(database["mutes"], relations.invalidate)

    async def _invalidate_follows(self, pairs: Iterable[Pair]) -> None:
        pairs = list(pairs)
        user_ids = {viewer_id for viewer_id, _ in pairs}
        by_user = (cache.invalidate(user_ids) for cache in self._by_user)
        await asyncio.gather(self._relations.invalidate(pairs), *by_user)
