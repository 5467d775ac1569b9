"""Authors whom so many follow that their posts are pulled by the read, and their shifting from push to pull and back.

An author's mode is `pulled` in `users`; a follow's `pulled` says that the feed does not hold the author's posts, so the
read pulls them. An author whose mode changes owes SHIFT until every follow says the same, and is pushed meanwhile:
what is in a feed and pulled too is shown once, and what were in neither would be missing.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.accounts.cached_users import UserCache
from datasources.feed.first_pages import FirstPagesCache
from datasources.jobs.outbox import Stage, add_pending, change, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Job, Task
from domain.records.follows import FollowState
from domain.records.record import Stored

PUSHED_AGAIN = 0.8  # of the limit; between the two an author stays as they are
STEP_TIME = timedelta(seconds=30)  # who shifts has so long for a step before the sweeper rings again
_VERSION: Document = {"$ifNull": ["$version", 0]}


class Mode(Stored, frozen=True, kw_only=True):
    """How an author's posts come into feeds; `id` is the author's."""

    pulled: bool = False
    follower_count: int = 0
    version: int = 0
    outbox: tuple[str, ...] = ()

    @property
    def is_switching(self) -> bool:
        """Whether the author's follows may not all say so yet."""
        return Task.SWITCH_PUSH_PULL.value in self.outbox


class PushPullStore:
    """The modes of authors in `users` and `follows`. `limit` is how many followers an author is pushed to."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        user_cache: UserCache,
        first_pages: FirstPagesCache,
        *,
        limit: int,
    ) -> None:
        self._users: Readable = database["users"]
        self._follows: Readable = database["follows"]
        self._uncached_follows = database["follows"]  # to write `pulled` and outboxes, which no relation has
        self._user_writes = InvalidatingWrites(database["users"], user_cache.invalidate)
        self._first_pages = first_pages
        self._job_queue = job_queue
        self.limit = limit

    async def is_pulled(self, author_id: ObjectId) -> bool:
        """Whether an author's mode is pull, for the filling of a follow.

        To be asked after the follow was read: who asks before a shift has the follow changed by it, and asks again.
        """
        modes = await self._modes([author_id])
        return author_id in modes and modes[author_id].pulled

    async def pushed_authors(self, author_ids: Collection[ObjectId], now: datetime) -> dict[ObjectId, int]:
        """Those of these authors whose posts are to be pushed, with how many followers they have as far as counted.

        One who has crossed a limit changes mode by it, and is pushed once more. To be asked after the posts became
        ready: should an author shift later, the filling of the follows finds them.
        """
        modes = await self._modes(author_ids)
        crossing = [mode for mode in modes.values() if self._crosses(mode)]
        for mode in crossing:
            await self._switch_mode(mode, now)
        pulled = {mode.id for mode in modes.values() if mode.pulled and not mode.is_switching and mode not in crossing}
        return {one: modes[one].follower_count if one in modes else 0 for one in author_ids if one not in pulled}

    async def pending(self, author_id: ObjectId) -> Mode | None:
        """The mode of an author who owes the shifting of their follows."""
        mode = (await self._modes([author_id])).get(author_id)
        return mode if mode is not None and mode.is_switching else None

    async def follows_to_switch(self, mode: Mode, after: ObjectId | None, most: int) -> list[ObjectId]:
        """Up to `most` follows, after the one given, that are to be shifted.

        To push, those that do not say so; to pull, all: one may say so already and its window not be forgotten.
        """
        query: Document = {"followee_id": mode.id, "state": FollowState.FOLLOWING.value}
        if not mode.pulled:
            query |= _unlike(mode)
        if after is not None:
            query["_id"] = {"$gt": after}
        rows = self._follows.find(query, {"_id": 1}, sort=[("_id", 1)], limit=most, batch_size=most + 1)
        return [row["_id"] for row in await rows.to_list()]

    async def switch(self, mode: Mode, follow_ids: Sequence[ObjectId], now: datetime) -> None:
        """Has follows pulled, or owe the filling that ends the pulling. Safe to repeat.

        Their versions grow, so that a filling that has asked for the mode before is not paid. Raises an outage of Redis
        too: windows that do not say whom to pull must be gone before the author's posts are pushed no more.
        """
        newer: Stage = {"$set": {"version": {"$add": [_VERSION, 1]}}}
        said: Stage = {"$set": {"pulled": True}} if mode.pulled else add_pending([Task.BACKFILL], now)
        some = {"_id": {"$in": list(follow_ids)}, "state": FollowState.FOLLOWING.value, **_unlike(mode)}
        await self._uncached_follows.update_many(some, [newer, said])
        if mode.pulled:
            rows = self._follows.find({"_id": {"$in": list(follow_ids)}}, {"follower_id": 1})
            await self._first_pages.must_invalidate([row["follower_id"] for row in await rows.to_list()])
        else:
            await self._job_queue.enqueue(Job(Task.BACKFILL, Fact.FOLLOW, str(follow_id)) for follow_id in follow_ids)

    async def postpone(self, mode: Mode, now: datetime) -> bool:
        """Keeps the sweeper from ringing for a while; False if the author has changed since `mode` was read."""
        held = {"$set": {"due_at": now + STEP_TIME}}
        return (await self._user_writes.uncached.update_one(_same(mode), held)).matched_count == 1

    async def finish(self, mode: Mode) -> bool:
        """Pays an author's shift; False if they have changed since `mode` was read."""
        return (
            await self._user_writes.uncached.update_one(_same(mode), mark_done(Task.SWITCH_PUSH_PULL))
        ).matched_count == 1

    async def _switch_mode(self, mode: Mode, now: datetime) -> None:
        """Gives an author the other mode, unless they have changed since `mode` was read."""
        pipeline = change({"pulled": not mode.pulled}, [Task.SWITCH_PUSH_PULL], now, watched="pulled")
        async with self._user_writes.invalidating([mode.id]) as users:
            turned = await users.update_one(_same(mode), pipeline)
        if turned.modified_count:
            await self._job_queue.enqueue([Job(Task.SWITCH_PUSH_PULL, Fact.USER, str(mode.id))])

    def _crosses(self, mode: Mode) -> bool:
        if mode.is_switching:
            return False
        count = mode.follower_count
        return count < self.limit * PUSHED_AGAIN if mode.pulled else count > self.limit

    async def _modes(self, author_ids: Iterable[ObjectId]) -> dict[ObjectId, Mode]:
        fields = {"pulled": 1, "follower_count": 1, "version": 1, "outbox": 1}
        found = await self._users.find({"_id": {"$in": list(author_ids)}}, fields).to_list()
        return {document["_id"]: Mode.from_document(document) for document in found}


def _unlike(mode: Mode) -> Document:
    """Follows of another mode, and those that owe FILL: one that is being filled may have asked before the shift."""
    other = {"pulled": {"$ne": True}} if mode.pulled else {"pulled": True}
    return {"$or": [other, {"outbox": Task.BACKFILL.value}]}


def _same(mode: Mode) -> Document:
    return {"_id": mode.id, "version": mode.version or {"$in": [0, None]}}
