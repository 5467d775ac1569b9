"""Finding accounts by their names, by indexes of `users`. The caller decides what the viewer may see.

`users` is sharded by ids, so in a cluster a search asks every shard, each for one page, or for what `similar` reads.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice

from bson import ObjectId

from datasources.accounts.search_terms import SPELLINGS
from datasources.discovery.known_people import KnownPeopleCache, KnownPerson
from datasources.mongo.client import Database, Readable
from datasources.mongo.queries import find_by_ids, find_ids, within
from datasources.mongo.search_keys import KEYS, LISTED, POPULARITY, find_by_key
from domain.paging import Match
from domain.people_search import Group, is_similar, keys_of
from domain.records.follows import FollowState
from domain.records.users import UserState
from domain.search_keys import found_key, popularity
from domain.typos import misspelled

KNOWN_READ_MAX = 500  # of those whom the viewer follows, the latest; and as many of the viewer's followers
SIMILAR_READ_MAX = 300  # accounts with a signature in common, the most popular ones


class PeopleSearch:
    """Reads of `users` by what `datasources/accounts/search_terms.py` keeps there."""

    def __init__(self, database: Database, known_people: KnownPeopleCache) -> None:
        self._known_people = known_people
        self._users: Readable = database["users"]
        self._follows: Readable = database["follows"]
        self._followers: Readable = database["followers"]

    async def named(self, key: str, limit: int, after: Match | None = None, *, handles: bool = False) -> list[Match]:
        """As `find_by_key`; with `handles`, by the keys of handles alone."""
        fields = KEYS[:1] if handles else KEYS
        return await find_by_key(self._users, fields, key, limit, after, Group.NAMED)

    async def known(self, key: str, viewer_id: ObjectId, limit: int) -> list[Match]:
        """Up to `limit` accounts, in order, with a key that begins with this one, of those whom the viewer knows.

        These are `KNOWN_READ_MAX` whom the viewer follows and as many followers. The cache says what may be old of
        them.
        """
        (people,) = await self._known_people.read([viewer_id], self._read_known)
        named = KnownPerson.among(people, key)
        found = [Match(Group.KNOWN, each.popularity, "", ObjectId(each.id)) for each in named]
        return sorted(found, key=lambda match: match.order)[:limit]

    async def similar(self, key: str, limit: int) -> list[Match]:
        """Up to `limit` accounts, in order, whose handle, name or a word of it differs from `key` by a typing error.

        Those with a key that begins with `key` are left out. They are taken from the `SIMILAR_READ_MAX` most popular
        ones that may be similar. Empty for a short key.
        """
        wanted = sorted(misspelled(key))
        if not wanted:
            return []
        query = {SPELLINGS: {"$in": wanted}, POPULARITY: LISTED}
        fields, order, most = {"username": 1, "display_name": 1, POPULARITY: 1}, [(POPULARITY, -1)], SIMILAR_READ_MAX
        rows = await self._users.find(query, fields, sort=order, limit=most, batch_size=most + 1).to_list()
        similar = (row for row in rows if _is_meant(row["username"], row["display_name"], key))
        found = [Match(Group.SIMILAR, row["search"]["popularity"], "", row["_id"]) for row in islice(similar, limit)]
        return sorted(found, key=lambda match: match.order)

    async def _read_known(self, viewer_ids: Sequence[ObjectId]) -> list[list[KnownPerson]]:
        return [await self._known(viewer_id) for viewer_id in viewer_ids]

    async def _known(self, viewer_id: ObjectId) -> list[KnownPerson]:
        following, followers = await asyncio.gather(self._following(viewer_id), self._followed_by(viewer_id))
        fields = dict.fromkeys(("follower_count", "state", *KEYS), 1)
        accounts = await find_by_ids(self._users, list({*following, *followers}), projection=fields)
        return [
            KnownPerson.of(id_, popularity(row.get("follower_count", 0)), row["search"].values())
            for id_, row in accounts.items()
            if "search" in row and row.get("state") == UserState.ACTIVE.value
        ]

    async def _following(self, viewer_id: ObjectId) -> list[ObjectId]:
        query = {"follower_id": viewer_id, "state": FollowState.FOLLOWING.value}
        fields, order, limit = {"_id": 0, "followee_id": 1}, [("_id", -1)], KNOWN_READ_MAX
        rows = await self._follows.find(query, fields, sort=order, limit=limit, batch_size=limit + 1).to_list()
        return [row["followee_id"] for row in rows]

    async def _followed_by(self, viewer_id: ObjectId) -> list[ObjectId]:
        query = {"_id": within(viewer_id, "u", "f")}
        return [id_["f"] for id_ in await find_ids(self._followers, query, sort=[("_id", -1)], limit=KNOWN_READ_MAX)]


def _is_meant(username: str, display_name: str, key: str) -> bool:
    """Whether a name differs from this text by a typing error, and does not begin with it."""
    return is_similar(username, display_name, key) and found_key(keys_of(username, display_name), key) is None
