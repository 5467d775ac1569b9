"""What is kept of each home feed beside its entries: whether it is live, and from where on it is complete.

Why no post is lost: a post that was not pushed because a feed was not live was ready before, so the rebuild that
follows, which reads posts later, finds it. Entries are deleted only in transactions that write the feed's document as
it was read, so what deletes cannot meet what a later rebuild has written.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo import UpdateOne

from datasources.feed.first_pages import FirstPagesCache
from datasources.jobs.outbox import add_pending, change, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.indexes import LIVE_FEEDS
from datasources.mongo.readable import readable
from datasources.mongo.upserts import upsert
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Task
from domain.records.feeds import FeedRecord

HOLDS_ALL = ObjectId(b"\0" * 12)  # the floor of a feed that holds everything
VISIT_NOTED_EVERY = timedelta(hours=1)  # that somebody looks at their feed is written down no more often than this
REFRESH_EVERY = timedelta(days=1)  # a live feed is tended this often


class FeedStates:
    """The collection `feeds`, one document an owner. A feed is a fact that can owe its tending."""

    def __init__(
        self, database: Database, job_queue: JobQueue, first_pages: FirstPagesCache, *, active: timedelta
    ) -> None:
        self._feeds: Readable = database["feeds"]
        self._writes = InvalidatingWrites(database["feeds"], first_pages.invalidate)
        self._job_queue = job_queue
        self.active = active

    async def find(self, owner_id: ObjectId) -> FeedRecord | None:
        """What is kept of a feed, None of one that nobody has looked at."""
        found = await self._feeds.find_one({"_id": owner_id})
        return readable(FeedRecord, found)

    async def pending(self, owner_id: ObjectId) -> FeedRecord | None:
        """A feed that owes its tending."""
        found = await self._feeds.find_one({"_id": owner_id, "outbox": Task.REFRESH_FEED.value})
        return None if found is None else FeedRecord.from_document(found)

    async def live_among(self, owner_ids: Collection[ObjectId]) -> list[ObjectId]:
        """Those of these owners to whom posts are pushed, once each; one operation.

        To be asked after the post became ready: whoever becomes live later finds it.
        """
        live = {"_id": {"$in": list(owner_ids)}, "live": True}
        rows = self._feeds.find(live, {"_id": 1}, batch_size=len(owner_ids) + 1, hint=LIVE_FEEDS)
        return [row["_id"] for row in await rows.to_list()]

    async def note_visit(self, owner_id: ObjectId, now: datetime) -> FeedRecord:
        """A feed that its owner looks at: live from now on; it owes its tending if it was not. Safe to repeat."""
        found = await self._feeds.find_one({"_id": owner_id})
        feed = readable(FeedRecord, found)
        if feed is None and found is not None:
            return FeedRecord(id=owner_id)  # one that cannot be read is left as it is, and all posts are pulled
        if feed is not None and feed.live and not feed.is_unseen_since(now - VISIT_NOTED_EVERY):
            return feed
        values = {"live": True, "seen_at": now, "refresh_at": {"$ifNull": ["$refresh_at", now + REFRESH_EVERY]}}
        pipeline = change(values, [Task.REFRESH_FEED], now, watched="live")
        document = await upsert(self._writes.uncached, {"_id": owner_id}, pipeline)
        await self._job_queue.enqueue_pending(Fact.FEED, [document])
        return FeedRecord.from_document(document)

    async def is_still(self, feed: FeedRecord) -> bool:
        """Whether a feed is as it was read: neither given up nor rebuilt since, with the same floor."""
        same = {"_id": feed.id, "version": feed.version, "floor": feed.floor}
        return await self._feeds.find_one(same, {"_id": 1}) is not None

    async def retire(self, feed: FeedRecord) -> FeedRecord | None:
        """Ends the pushing to a feed whose owner has not looked at it since it was read, else None."""
        query = {"_id": feed.id, "version": feed.version, "live": True, "seen_at": feed.seen_at}
        change = {"$set": {"live": False}, "$unset": {"floor": "", "refresh_at": ""}, "$inc": {"version": 1}}
        return await self._changed(query, change)

    async def begin_rebuild(self, feed: FeedRecord) -> FeedRecord | None:
        """Begins the rebuild of a live feed, which ends what any other has begun; None if it has changed since."""
        query = {"_id": feed.id, "version": feed.version, "live": True}
        return await self._changed(query, {"$inc": {"version": 1}, "$unset": {"floor": ""}})

    async def raise_floor(self, feed: FeedRecord, floor: ObjectId) -> bool:
        """Sets the floor of a live feed, never a lower one than it has; False if the feed has changed since."""
        query = {"_id": feed.id, "version": feed.version, "live": True}
        async with self._writes.invalidating([feed.id]) as feeds:
            done = await feeds.update_one(query, {"$max": {"floor": floor}})
        return done.matched_count == 1

    async def hold(self, feed: FeedRecord, session: Session) -> bool:
        """Sees to it that a feed cannot change beside this transaction; False if it has already."""
        query = {"_id": feed.id, "version": feed.version}
        done = await self._writes.uncached.update_one(query, {"$inc": {"holds": 1}}, session=session)
        return done.matched_count == 1

    async def mark_refreshed(self, feed: FeedRecord, now: datetime) -> None:
        """Says that a feed is tended, unless it has changed since; a live one will be again in a day."""
        due: Document = {"$set": {"refresh_at": {"$cond": ["$live", now + REFRESH_EVERY, "$$REMOVE"]}}}
        query = {"_id": feed.id, "version": feed.version}
        await self._writes.uncached.update_one(query, [due, *mark_done(Task.REFRESH_FEED)])

    async def enqueue_due(self, now: datetime, most: int) -> int:
        """Lets up to `most` feeds owe their daily tending; returns how many. Safe to repeat and side by side."""
        due = {"refresh_at": {"$lte": now}}
        rows = await self._feeds.find(due, {"_id": 1}, sort=[("refresh_at", 1)], limit=most).to_list()
        if rows:
            query = {"_id": {"$in": [row["_id"] for row in rows]}, **due}
            await self._writes.uncached.update_many(
                query, [add_pending([Task.REFRESH_FEED], now), {"$unset": "refresh_at"}]
            )
        return len(rows)

    async def reset(self, owner_ids: Sequence[ObjectId], now: datetime) -> int:
        """Lets these feeds be rebuilt from nothing; until then they are read by pull. How many; safe to repeat."""
        forgotten: Document = {"$set": {"version": {"$add": ["$version", 1]}, "floor": "$$REMOVE"}}
        query = {"_id": {"$in": list(owner_ids)}}
        async with self._writes.invalidating(owner_ids) as feeds:
            done = await feeds.update_many(query, [forgotten, add_pending([Task.REFRESH_FEED], now)])
        return done.matched_count

    async def erase(self, owner_id: ObjectId) -> None:
        """Forgets the feed of a deleted account, before its entries are taken out. Safe to repeat."""
        async with self._writes.invalidating([owner_id]) as feeds:
            await feeds.delete_one({"_id": owner_id})

    async def enqueue_clearing(self, owner_ids: Sequence[ObjectId], now: datetime) -> None:
        """Lets those of these owners whose feeds are not live owe the clearing of what entries they have."""
        values = {"live": {"$ifNull": ["$live", False]}, "version": {"$ifNull": ["$version", 0]}}
        pipeline = [{"$set": values}, add_pending([Task.REFRESH_FEED], now)]
        live = set(await self.live_among(owner_ids))
        calls = [UpdateOne({"_id": one}, pipeline, upsert=True) for one in set(owner_ids) - live]
        if calls:
            await self._writes.uncached.bulk_write(calls, ordered=False)

    async def _changed(self, query: Document, change: Document) -> FeedRecord | None:
        async with self._writes.invalidating([query["_id"]]) as feeds:
            found = await feeds.find_one_and_update(query, change, return_document=True)
        return None if found is None else FeedRecord.from_document(found)
