"""Mutual followers of a viewer and another account: those who follow it, and whom the viewer follows.

Both are read from `follows`, by those who follow, so what they show is true at once. What the viewer may see, the
caller decides.
"""

from collections.abc import Mapping, Sequence

import msgspec
from bson import ObjectId

from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.pages import find_page
from domain.limits import MUTUAL_FOLLOWERS_AMONG, PAGE_SIZE_MAX
from domain.paging import Page, PageRequest, cut_page
from domain.records.follows import FollowState

READ_AT_ONCE = 1_500  # whom the viewer follows: who follows most takes five steps to the end of a list
_BY_PAIR = [("follower_id", 1), ("followee_id", 1)]
_FOLLOWING: Document = {"state": FollowState.FOLLOWING.value}


class MutualFollowerStore:
    """Reads of `follows`."""

    def __init__(self, database: Database) -> None:
        self._follows: Readable = database["follows"]

    async def page(self, viewer_id: ObjectId, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """A page of the mutual followers of one account, whom the viewer followed latest first.

        Two scans of index keys for each `READ_AT_ONCE` whom the viewer follows, until the page is full.
        """
        step = request.expects(ObjectId)
        found = list[tuple[ObjectId, ObjectId]]()
        while len(found) <= request.limit:
            rows = await self._followed(viewer_id, step)
            followers = (await self._followers([row["followee_id"] for row in rows], [user_id])).get(user_id, ())
            among = set(followers)
            found += [(row["_id"], row["followee_id"]) for row in rows if row["followee_id"] in among]
            if len(rows) < READ_AT_ONCE:
                break
            step = step.beyond(rows[-1]["_id"])
        return cut_page(request, found)

    async def of_users(self, viewer_id: ObjectId, user_ids: Sequence[ObjectId]) -> Mapping[ObjectId, list[ObjectId]]:
        """The mutual followers of each account that has some, among `MUTUAL_FOLLOWERS_AMONG`, in the order of `page`.

        These are the accounts that the viewer followed latest. A read of `follows` for these, and one for each
        `PAGE_SIZE_MAX` of `user_ids`, one after the other.
        """
        rows = await self._followed(viewer_id, PageRequest(limit=1), MUTUAL_FOLLOWERS_AMONG)
        places = {row["followee_id"]: number for number, row in enumerate(rows)}
        found = dict[ObjectId, list[ObjectId]]()
        for start in range(0, len(user_ids), PAGE_SIZE_MAX):
            found.update(await self._followers(list(places), user_ids[start : start + PAGE_SIZE_MAX]))
        return {user_id: sorted(followers, key=places.__getitem__) for user_id, followers in found.items()}

    async def _followed(
        self, viewer_id: ObjectId, request: PageRequest, limit: int = READ_AT_ONCE
    ) -> Sequence[Document]:
        """Up to `limit` follows of the viewer, between the bounds of a request and in its direction."""
        step, query = msgspec.structs.replace(request, limit=limit - 1), {"follower_id": viewer_id, **_FOLLOWING}
        return await find_page(self._follows, query, step, projection={"followee_id": 1}, batch_size=limit + 1)

    async def _followers(
        self, among: Sequence[ObjectId], user_ids: Sequence[ObjectId]
    ) -> Mapping[ObjectId, list[ObjectId]]:
        """Those of some accounts who follow each user; a seek in the index for each pair."""
        if not among:
            return {}
        query = {"follower_id": {"$in": list(among)}, "followee_id": {"$in": list(user_ids)}, **_FOLLOWING}
        group = {"_id": "$followee_id", "followers": {"$push": "$follower_id"}}
        rows = await self._follows.aggregate([{"$match": query}, {"$group": group}], hint=dict(_BY_PAIR))
        return {row["_id"]: row["followers"] for row in await rows.to_list()}
