"""Posts as they are cached: as stored, for every viewer. What a viewer may see is decided after the cache."""

from bson import ObjectId

from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache, id_names
from domain.records.posts import PostRecord

POST_SECONDS = 30.0

PostCache = Cache[ObjectId, PostRecord | None]


def post_cache(servers: CacheServers) -> PostCache:
    """Posts by id."""
    return Cache(servers, "post", PostRecord | None, POST_SECONDS, id_names)
