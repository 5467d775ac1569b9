"""Snapshots of explore: an order of posts and the hashtags that trend, made at times and the same for everybody."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Database
from datasources.mongo.lenient_reads import readable
from domain.limits import EXPLORE_KEPT
from domain.paging import Page, PageRequest, Place, cut_page
from domain.records.discovery import SnapshotRecord

EVERYBODY = ObjectId(b"\0" * 12)  # the owner in cursors of explore; no account has it


class Snapshot(SnapshotRecord, frozen=True, kw_only=True):
    """A snapshot that pages are read from."""

    def page(self, request: PageRequest) -> Page[ObjectId]:
        """A page of the posts; the request's bounds are places in this snapshot."""
        after, before = request.after, request.before
        start = after.number + 1 if isinstance(after, Place) else 0
        stop = before.number if isinstance(before, Place) else len(self.post_ids)
        numbers = range(start, min(stop, len(self.post_ids)))
        walked = (numbers[::-1] if request.backward else numbers)[: request.limit + 1]
        return cut_page(request, [(Place(EVERYBODY, self.id, number), self.post_ids[number]) for number in walked])


class SnapshotStore:
    """The collection `explore_snapshots`. All but the latest have `expires_at`; the latest stays until there is one."""

    def __init__(self, database: Database) -> None:
        self._snapshots = database["explore_snapshots"]

    async def latest(self) -> Snapshot | None:
        """The latest snapshot; None before the first. One operation."""
        return readable(Snapshot, await self._snapshots.find_one({}, sort=[("_id", -1)]))

    async def latest_made_at(self) -> datetime | None:
        """When the latest snapshot was made; None before the first. One operation, which reads no list."""
        latest = await self._snapshots.find_one({}, {"made_at": 1}, sort=[("_id", -1)])
        return None if latest is None else latest["made_at"]

    async def find(self, snapshot_id: ObjectId) -> Snapshot | None:
        """A snapshot by its id; None once it has expired. One operation."""
        return readable(Snapshot, await self._snapshots.find_one({"_id": snapshot_id}))

    async def add(self, post_ids: Sequence[ObjectId], hashtags: Sequence[str], now: datetime) -> Snapshot:
        """Stores a snapshot, from now on the latest; those before it expire in `EXPLORE_KEPT`.

        Not atomic: a snapshot that was to expire, and does not as this process died, does so after the next one.
        """
        snapshot = Snapshot(id=clock.new_id(), post_ids=list(post_ids), hashtags=list(hashtags), made_at=now)
        await self._snapshots.insert_one(snapshot.to_document())
        older = {"_id": {"$lt": snapshot.id}, "expires_at": {"$exists": False}}
        await self._snapshots.update_many(older, {"$set": {"expires_at": now + EXPLORE_KEPT}})
        return snapshot
