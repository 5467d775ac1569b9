"""Finding accounts by their names: reads of indexes of `users` alone. What the viewer may see, the caller decides.

`users` lies by ids, so in a cluster a search asks every shard, each for one page.
"""

import asyncio

from bson import ObjectId

from datasources.accounts.search_terms import TYPOS
from datasources.mongo.client import Database, Readable
from datasources.mongo.queries import BY_ID, find_ids, within
from datasources.mongo.search_keys import KEYS, LISTED, POPULARITY, beginning, find_by_key
from domain.paging import Match
from domain.people_search import Group, is_similar
from domain.records.follows import FollowState
from domain.records.users import UserState
from domain.search_keys import popularity
from domain.typos import misspelled

KNOWN_READ_MAX = 500  # of those whom the viewer follows, the latest; and as many of the viewer's followers
SIMILAR_READ_MAX = 200  # accounts with a signature in common, the most popular ones


class PeopleSearch:
    """Reads of `users` by what `datasources/accounts/search_terms.py` keeps there."""

    def __init__(self, database: Database) -> None:
        self._users: Readable = database["users"]
        self._follows: Readable = database["follows"]
        self._followers: Readable = database["followers"]

    async def named(self, key: str, limit: int, after: Match | None = None, *, handles: bool = False) -> list[Match]:
        """As `find_by_key`; with `handles`, by the keys of handles alone."""
        fields = KEYS[:1] if handles else KEYS
        return await find_by_key(self._users, fields, key, limit, after, Group.NAMED)

    async def known(self, key: str, viewer_id: ObjectId, limit: int) -> list[Match]:
        """Up to `limit` accounts, in order, with a key that begins with this one, of those whom the viewer knows.

        These are `KNOWN_READ_MAX` whom the viewer follows and as many followers.
        """
        following, followers = await asyncio.gather(self._following(viewer_id), self._followed_by(viewer_id))
        named = [{field: beginning(key)} for field in KEYS]
        query = {"_id": {"$in": list({*following, *followers})}, "state": UserState.ACTIVE.value, "$or": named}
        rows = await self._users.find(query, {"follower_count": 1}, hint=BY_ID).to_list()
        found = [Match(Group.KNOWN, popularity(row.get("follower_count", 0)), "", row["_id"]) for row in rows]
        return sorted(found, key=lambda match: match.order)[:limit]

    async def similar(self, key: str, limit: int) -> list[Match]:
        """Up to `limit` accounts, in order, whose handle, name or a word of it differs from `key` by a typing error.

        They are taken from the `SIMILAR_READ_MAX` most popular ones that may be. Empty for a short key.
        """
        wanted = sorted(misspelled(key))
        if not wanted:
            return []
        query = {TYPOS: {"$in": wanted}, POPULARITY: LISTED}
        fields = {"username": 1, "display_name": 1, POPULARITY: 1}
        cursor = self._users.find(query, fields, sort=[(POPULARITY, -1)], limit=SIMILAR_READ_MAX)
        found = [
            Match(Group.SIMILAR, row["search"]["popularity"], "", row["_id"])
            for row in await cursor.to_list()
            if is_similar(row["username"], row["display_name"], key)
        ]
        return sorted(found, key=lambda match: match.order)[:limit]

    async def _following(self, viewer_id: ObjectId) -> list[ObjectId]:
        query = {"follower_id": viewer_id, "state": FollowState.FOLLOWING.value}
        cursor = self._follows.find(query, {"_id": 0, "followee_id": 1}, sort=[("_id", -1)], limit=KNOWN_READ_MAX)
        return [row["followee_id"] for row in await cursor.to_list()]

    async def _followed_by(self, viewer_id: ObjectId) -> list[ObjectId]:
        query = {"_id": within(viewer_id, "u", "f")}
        return [id_["f"] for id_ in await find_ids(self._followers, query, sort=[("_id", -1)], limit=KNOWN_READ_MAX)]
