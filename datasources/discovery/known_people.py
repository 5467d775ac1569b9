"""The names of people whom a viewer knows, as they are cached: so typing a name does not read a thousand accounts."""

from collections.abc import Iterable

import msgspec
from bson import ObjectId

from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache, id_names

KNOWN_SECONDS = 10.0  # while somebody types


class KnownPerson(msgspec.Struct, frozen=True, array_like=True):
    """An account, its popularity, and the keys that it is found by (`domain/people_search.py`), each in a line."""

    id: bytes
    popularity: int
    lines: str

    @classmethod
    def of(cls, id_: ObjectId, popularity: int, keys: Iterable[str]) -> "KnownPerson":
        return cls(id_.binary, popularity, "".join(f"\n{key}" for key in keys))

    @staticmethod
    def among(people: Iterable["KnownPerson"], key: str) -> list["KnownPerson"]:
        """Those of these people who have a key that begins with this one."""
        beginning = f"\n{key}"
        return [each for each in people if beginning in each.lines]


KnownPeopleCache = Cache[ObjectId, list[KnownPerson]]


def known_people_cache(servers: CacheServers) -> KnownPeopleCache:
    """Known people by viewer; some 70 bytes each. The viewer's follows invalidate them.

    Nothing else does: their names, popularity and the viewer's followers may be `KNOWN_SECONDS` old. Who shows them
    asks whether the viewer still knows them, and what their names are.
    """
    return Cache(servers, "known_people", list[KnownPerson], KNOWN_SECONDS, id_names)
