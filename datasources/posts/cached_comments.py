"""Comments as they are cached: as stored, for every viewer. What a viewer may see is decided after the cache."""

from bson import ObjectId

from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache, id_names
from domain.records.comments import CommentRecord

COMMENT_SECONDS = 30.0

CommentCache = Cache[ObjectId, CommentRecord | None]


def comment_cache(servers: CacheServers) -> CommentCache:
    """Comments by id."""
    return Cache(servers, "comment", CommentRecord | None, COMMENT_SECONDS, id_names)
