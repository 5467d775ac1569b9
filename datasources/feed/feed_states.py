"""The state of each home feed: live, pulled or neither, and its floor.

`docs/design/feed.md` says why no post is lost.
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
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import find_ids
from datasources.mongo.upserts import upsert
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Job, Task
from domain.records.feeds import FeedRecord

HOLDS_ALL = ObjectId(b"\0" * 12)  # the floor of a feed that holds everything
VISIT_NOTED_EVERY = timedelta(hours=1)  # visits in between are not written
REFRESH_EVERY = timedelta(days=1)  # of a feed in use
PUSHED_AGAIN = 0.8  # of a limit; between the two a feed, or an author, keeps the mode


class FeedStates:
    """The collection `feeds`, one document an owner. A feed is a fact; its task is REFRESH_FEED.

    Posts are pushed to feeds whose owners follow up to `limit` others and have looked at them within `active`.
    """

    def __init__(
        self, database: Database, job_queue: JobQueue, first_pages: FirstPagesCache, *, active: timedelta, limit: int
    ) -> None:
        self._users: Readable = database["users"]
        self._feeds: Readable = database["feeds"]
        self._first_pages = first_pages
        self._writes = InvalidatingWrites(database["feeds"], first_pages.invalidate)
        self._job_queue = job_queue
        self.active = active
        self.limit = limit

    async def find(self, owner_id: ObjectId) -> FeedRecord | None:
        """The state of a feed; None if its owner has never looked at it."""
        return readable(FeedRecord, await self._feeds.find_one({"_id": owner_id}))

    async def pending(self, owner_id: ObjectId) -> FeedRecord | None:
        """A feed whose REFRESH_FEED is pending, else None."""
        document = await self._feeds.find_one({"_id": owner_id, "outbox": Task.REFRESH_FEED.value})
        return None if document is None else FeedRecord.from_document(document)

    async def live_among(self, owner_ids: Collection[ObjectId]) -> list[ObjectId]:
        """Those of these owners whose feeds are live, once each; one operation.

        Read this after the post became READY: a feed that becomes live later gets the post by its rebuild.
        """
        live = {"_id": {"$in": list(owner_ids)}, "live": True}
        return await find_ids(self._feeds, live, batch_size=len(owner_ids) + 1, hint=LIVE_FEEDS)

    async def note_visit(self, owner_id: ObjectId, now: datetime) -> FeedRecord:
        """Makes a feed that its owner looks at live, with REFRESH_FEED pending if it was not. Safe to repeat.

        A pulled feed stays as it is.
        """
        document = await self._feeds.find_one({"_id": owner_id})
        feed = readable(FeedRecord, document)
        if feed is None and document is not None:
            return FeedRecord(id=owner_id)  # an unreadable document stays as it is, and all posts are pulled
        if feed is not None and feed.is_in_use and not feed.is_unseen_since(now - VISIT_NOTED_EVERY):
            return feed
        live = {"$or": [{"$eq": ["$live", True]}, {"$ne": ["$pulled", True]}]}
        values = {"live": live, "seen_at": now, "refresh_at": {"$ifNull": ["$refresh_at", now + REFRESH_EVERY]}}
        pipeline = change(values, [Task.REFRESH_FEED], now, watched="live")
        document = await upsert(self._writes.uncached, {"_id": owner_id}, pipeline)
        await self._job_queue.enqueue_pending(Fact.FEED, [document])
        return FeedRecord.from_document(document)

    async def note_absence(self, owner_id: ObjectId, now: datetime) -> None:
        """Has a feed dropped whose owner goes away; it is rebuilt when they look at it again. Safe to repeat."""
        query = {"_id": owner_id, "seen_at": {"$exists": True}}
        unseen: Document = {"$set": {"seen_at": now - self.active - VISIT_NOTED_EVERY}}
        done = await self._writes.uncached.update_one(query, [unseen, add_pending([Task.REFRESH_FEED], now)])
        if done.matched_count:
            await self._job_queue.enqueue([Job(Task.REFRESH_FEED, Fact.FEED, str(owner_id))])

    async def is_still(self, feed: FeedRecord) -> bool:
        """Whether a feed is as it was read: neither retired nor rebuilt since, with the same floor."""
        same = {"_id": feed.id, "version": feed.version, "floor": feed.floor}
        return await self._feeds.find_one(same, {"_id": 1}) is not None

    async def retire(self, feed: FeedRecord) -> FeedRecord | None:
        """Makes a feed neither live nor pulled, unless its owner has looked at it since it was read; then None."""
        query = {"_id": feed.id, "version": feed.version, "seen_at": feed.seen_at}
        without = {"floor": "", "refresh_at": "", "pulled": ""}
        return await self._changed(query, {"$set": {"live": False}, "$unset": without, "$inc": {"version": 1}})

    async def is_to_be_pulled(self, feed: FeedRecord) -> bool:
        """Whether the owner of a feed follows so many, by their counter, that nothing is to be pushed to it."""
        owner = await self._users.find_one({"_id": feed.id}, {"following_count": 1})
        count = 0 if owner is None else owner.get("following_count", 0)
        return bool(count >= self.limit * PUSHED_AGAIN if feed.pulled else count > self.limit)

    async def stop_pushing(self, feed: FeedRecord) -> FeedRecord | None:
        """Makes a feed pulled and not live; None if it has changed since. Safe to repeat, and to stop half way.

        First it has no floor any more, so that all is pulled; posts are pushed until no first pages of before are
        cached. Raises outages of Redis then.
        """
        query = {"_id": feed.id, "version": feed.version}
        without_floor = {"$set": {"pulled": True}, "$unset": {"floor": ""}, "$inc": {"version": 1}}
        begun = await self._changed(query, without_floor)
        if begun is None:
            return None
        await self._first_pages.must_invalidate([feed.id])
        query = {"_id": feed.id, "version": begun.version}
        return await self._changed(query, {"$set": {"live": False}, "$inc": {"version": 1}})

    async def push_again(self, feed: FeedRecord) -> FeedRecord | None:
        """Makes a pulled feed live, and begins its rebuild; None if it has changed since."""
        query = {"_id": feed.id, "version": feed.version, "pulled": True}
        change = {"$set": {"live": True}, "$unset": {"floor": "", "pulled": ""}, "$inc": {"version": 1}}
        return await self._changed(query, change)

    async def begin_rebuild(self, feed: FeedRecord) -> FeedRecord | None:
        """Begins the rebuild of a live feed, and invalidates any other; None if the feed has changed since."""
        query = {"_id": feed.id, "version": feed.version, "live": True}
        return await self._changed(query, {"$inc": {"version": 1}, "$unset": {"floor": ""}})

    async def raise_floor(self, feed: FeedRecord, floor: ObjectId) -> bool:
        """Raises the floor of a live feed, never lowers it; False if the feed has changed since it was read."""
        query = {"_id": feed.id, "version": feed.version, "live": True}
        async with self._writes.invalidating([feed.id]) as feeds:
            done = await feeds.update_one(query, {"$max": {"floor": floor}})
        return done.matched_count == 1

    async def hold(self, feed: FeedRecord, session: Session) -> bool:
        """Makes this transaction conflict with other changes of a feed; False if it has changed since it was read."""
        query = {"_id": feed.id, "version": feed.version}
        done = await self._writes.uncached.update_one(query, {"$inc": {"holds": 1}}, session=session)
        return done.matched_count == 1

    async def mark_refreshed(self, feed: FeedRecord, now: datetime) -> None:
        """Marks REFRESH_FEED done, unless the feed has changed since; one in use is due again in a day."""
        in_use = {"$or": ["$live", {"$ifNull": ["$pulled", False]}]}
        next_refresh: Document = {"$set": {"refresh_at": {"$cond": [in_use, now + REFRESH_EVERY, "$$REMOVE"]}}}
        query = {"_id": feed.id, "version": feed.version}
        await self._writes.uncached.update_one(query, [next_refresh, *mark_done(Task.REFRESH_FEED)])

    async def enqueue_due(self, now: datetime, limit: int) -> None:
        """Makes the daily REFRESH_FEED of up to `limit` feeds pending. Safe to repeat."""
        due = {"refresh_at": {"$lte": now}}
        ids = await find_ids(self._feeds, due, sort=[("refresh_at", 1)], limit=limit)
        if ids:
            pipeline = [add_pending([Task.REFRESH_FEED], now), {"$unset": "refresh_at"}]
            await self._writes.uncached.update_many({"_id": {"$in": ids}, **due}, pipeline)

    async def refresh_now(self, feed: FeedRecord, now: datetime) -> None:
        """Makes REFRESH_FEED of a stored feed pending. Safe to repeat."""
        pending = [add_pending([Task.REFRESH_FEED], now)]
        await self._writes.uncached.update_one({"_id": feed.id}, pending)
        await self._job_queue.enqueue([Job(Task.REFRESH_FEED, Fact.FEED, str(feed.id))])

    async def reset(self, owner_ids: Sequence[ObjectId], now: datetime) -> int:
        """Has these feeds rebuilt; until then their posts are pulled. Returns how many there are. Safe to repeat."""
        without_floor: Document = {"$set": {"version": {"$add": ["$version", 1]}, "floor": "$$REMOVE"}}
        query = {"_id": {"$in": list(owner_ids)}}
        async with self._writes.invalidating(owner_ids) as feeds:
            done = await feeds.update_many(query, [without_floor, add_pending([Task.REFRESH_FEED], now)])
        return done.matched_count

    async def erase(self, owner_id: ObjectId) -> None:
        """Deletes the state of a deleted account's feed, before its entries are deleted. Safe to repeat."""
        async with self._writes.invalidating([owner_id]) as feeds:
            await feeds.delete_one({"_id": owner_id})

    async def enqueue_clearing(self, owner_ids: Sequence[ObjectId], now: datetime) -> None:
        """Makes REFRESH_FEED pending for those of these owners whose feeds are not live: it deletes their entries."""
        values = {"live": {"$ifNull": ["$live", False]}, "version": {"$ifNull": ["$version", 0]}}
        pipeline = [{"$set": values}, add_pending([Task.REFRESH_FEED], now)]
        live = set(await self.live_among(owner_ids))
        calls = [UpdateOne({"_id": owner_id}, pipeline, upsert=True) for owner_id in set(owner_ids) - live]
        if calls:
            await self._writes.uncached.bulk_write(calls, ordered=False)

    async def _changed(self, query: Document, change: Document) -> FeedRecord | None:
        async with self._writes.invalidating([query["_id"]]) as feeds:
            document = await feeds.find_one_and_update(query, change, return_document=True)
        return None if document is None else FeedRecord.from_document(document)
