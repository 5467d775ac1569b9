"""Users as they are cached: as stored, for every viewer. What a viewer may see is decided after the cache."""

from bson import ObjectId

from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache, id_names
from domain.records.users import UserRecord

USER_SECONDS = 30.0

UserCache = Cache[ObjectId, UserRecord | None]


def user_cache(servers: CacheServers) -> UserCache:
    return Cache(servers, "user", UserRecord | None, USER_SECONDS, id_names)
