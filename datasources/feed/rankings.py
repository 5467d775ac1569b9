"""Ranked feeds as they were ordered for one reader, kept for an hour so that paging through one is stable.

A reader has at most `RANKINGS_KEPT` of them; a new one replaces about the oldest.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from datasources.mongo.queries import within
from domain.limits import RANKING_KEPT, RANKINGS_KEPT
from domain.paging import Page, PageRequest, Place, cut_page


class Ranking(msgspec.Struct, frozen=True):
    """An order of posts, made for one reader: of their feed, then `suggested_ids`."""

    owner_id: ObjectId
    snapshot_id: ObjectId
    feed_ids: Sequence[ObjectId]
    suggested_ids: Sequence[ObjectId] = ()

    @property
    def post_ids(self) -> Sequence[ObjectId]:
        """All of them."""
        return [*self.feed_ids, *self.suggested_ids]

    def page(self, request: PageRequest) -> Page[ObjectId]:
        """A page of this order; the request's bounds are places in it."""
        after, before, post_ids = request.after, request.before, self.post_ids
        start = after.number + 1 if isinstance(after, Place) else 0
        stop = before.number if isinstance(before, Place) else len(post_ids)
        numbers = range(start, min(stop, len(post_ids)))
        walked = (numbers[::-1] if request.backward else numbers)[: request.limit + 1]
        places = (Place(self.owner_id, self.snapshot_id, number) for number in walked)
        return cut_page(request, [(place, post_ids[place.number]) for place in places])


class RankingStore:
    """The collection `rankings`: {_id: {o: owner, n: slot}, snapshot_id, post_ids, suggested_ids, expires_at}."""

    def __init__(self, database: Database) -> None:
        self._rankings = database["rankings"]

    async def keep(
        self,
        owner_id: ObjectId,
        feed_ids: Sequence[ObjectId],
        now: datetime,
        suggested_ids: Sequence[ObjectId] = (),
    ) -> Ranking:
        """Stores an order for its reader. Atomic; it may replace an older one of theirs."""
        ranking = Ranking(owner_id, clock.new_id(), feed_ids, suggested_ids)
        values = {
            "snapshot_id": ranking.snapshot_id,
            "post_ids": list(feed_ids),
            "suggested_ids": list(suggested_ids),
            "expires_at": now + RANKING_KEPT,
        }
        await self._rankings.replace_one(_slot(owner_id, ranking.snapshot_id), values, upsert=True)
        return ranking

    async def find(self, owner_id: ObjectId, snapshot_id: ObjectId) -> Ranking | None:
        """An order that was kept for this reader; None once it has expired."""
        query = {**_slot(owner_id, snapshot_id), "snapshot_id": snapshot_id}
        document = await self._rankings.find_one(query, {"post_ids": 1, "suggested_ids": 1})
        if document is None:
            return None
        return Ranking(owner_id, snapshot_id, document["post_ids"], document.get("suggested_ids", ()))

    async def erase(self, owner_id: ObjectId) -> None:
        """Deletes every order made for a reader. Safe to repeat."""
        await self._rankings.delete_many({"_id": within(owner_id, "o", "n")})


def _slot(owner_id: ObjectId, snapshot_id: ObjectId) -> Document:
    """One of `RANKINGS_KEPT` slots, by the last byte of the id, which each process counts up."""
    return {"_id": {"o": owner_id, "n": snapshot_id.binary[-1] % RANKINGS_KEPT}}
