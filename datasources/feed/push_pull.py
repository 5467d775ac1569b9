"""Authors with very many followers are pulled when a feed is read; they switch modes as `docs/design/feed.md` says.

An author's mode is `pulled` in `users`; a follow's `pulled` says that the feed does not hold the author's posts. When
an author's mode changes, SWITCH_PUSH_PULL is pending until every follow has the mode; posts are pushed meanwhile.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.accounts.cached_users import UserCache
from datasources.feed.feed_states import PUSHED_AGAIN
from datasources.feed.first_pages import FirstPagesCache
from datasources.graph.follow_writes import FEED_CHANGE
from datasources.graph.followers import FollowerStore
from datasources.jobs.outbox import Stage, add_pending, change, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.queries import find_ids
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Job, Task
from domain.records.follows import FollowState
from domain.records.record import Stored

_PAIR = [("follower_id", 1), ("followee_id", 1)]  # or MongoDB may walk all follows of the author
STEP_TIME = timedelta(seconds=30)  # for one step of a switch; then the outbox relay enqueues it again


class Mode(Stored, frozen=True, kw_only=True):
    """How an author's posts come into feeds; `id` is the author's id."""

    pulled: bool = False
    follower_count: int = 0
    version: int = 0
    outbox: tuple[str, ...] = ()

    @property
    def is_switching(self) -> bool:
        """Whether some of the author's follows may not have the mode yet."""
        return Task.SWITCH_PUSH_PULL.value in self.outbox


class PushPullStore:
    """The modes of authors, in `users` and `follows`. Posts are pushed to up to `limit` followers."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        user_cache: UserCache,
        first_pages: FirstPagesCache,
        followers: FollowerStore,
        *,
        limit: int,
    ) -> None:
        self._users: Readable = database["users"]
        self._uncached_follows = database["follows"]  # to write `pulled` and outboxes, which no relation has
        self._followers = followers
        self._user_writes = InvalidatingWrites(database["users"], user_cache.invalidate)
        self._first_pages = first_pages
        self._job_queue = job_queue
        self.limit = limit

    async def is_pulled(self, author_id: ObjectId) -> bool:
        """Whether an author's mode is pull, for the backfill of a follow.

        Read this after the follow: a switch that comes later changes the follow, and its backfill is done again.
        """
        modes = await self._modes([author_id])
        return author_id in modes and modes[author_id].pulled

    async def pushed_authors(self, author_ids: Collection[ObjectId], now: datetime) -> dict[ObjectId, int]:
        """Those of these authors whose posts are to be pushed, with their follower counters.

        An author who has crossed a limit is given the other mode, and is pushed once more. Read this after the posts
        became READY: if an author switches later, the backfill of the follows finds the posts.
        """
        modes = await self._modes(author_ids)
        crossing = [mode for mode in modes.values() if self._crosses(mode)]
        for mode in crossing:
            await self._switch_mode(mode, now)
        pulled = {mode.id for mode in modes.values() if mode.pulled and not mode.is_switching and mode not in crossing}
        return {each: modes[each].follower_count if each in modes else 0 for each in author_ids if each not in pulled}

    async def pending(self, author_id: ObjectId) -> Mode | None:
        """The mode of an author whose SWITCH_PUSH_PULL is pending, else None."""
        mode = (await self._modes([author_id])).get(author_id)
        return mode if mode is not None and mode.is_switching else None

    async def followers_to_switch(self, mode: Mode, above: ObjectId | None, limit: int) -> list[ObjectId]:
        """Up to `limit` followers of the author with ids above one, whose follows are to be switched, in this order.

        Who is listed later need not be found: the follow's backfill lists it first and then reads the mode.
        """
        return await self._followers.of_author(mode.id, above=above, limit=limit)

    async def switch(self, mode: Mode, follower_ids: Sequence[ObjectId], now: datetime) -> None:
        """Marks follows as pulled, or makes the BACKFILL pending that ends the pulling. Safe to repeat.

        Their versions grow, so that a backfill that read the mode before is not marked done. Raises outages of Redis
        too: first pages without the author must be invalidated before the author's posts are not pushed any more.
        """
        new_mode: Stage = {"$set": {"pulled": True}} if mode.pulled else add_pending([Task.BACKFILL], now)
        follows = {"follower_id": {"$in": list(follower_ids)}, "followee_id": mode.id}
        standing = {**follows, "state": FollowState.FOLLOWING.value}
        to_switch = {**standing, **_of_other_mode(mode)}
        await self._uncached_follows.update_many(to_switch, [FEED_CHANGE, new_mode], hint=_PAIR)
        if mode.pulled:  # first pages may be cached even where the mode was right already
            await self._first_pages.must_invalidate(follower_ids)
        else:
            ids = await find_ids(self._uncached_follows, {**standing, "outbox": Task.BACKFILL.value}, hint=_PAIR)
            await self._job_queue.enqueue(Job(Task.BACKFILL, Fact.FOLLOW, str(follow_id)) for follow_id in ids)

    async def postpone(self, mode: Mode, now: datetime) -> bool:
        """Postpones the relay's next turn; False if the author has changed since `mode` was read."""
        held = {"$set": {"due_at": now + STEP_TIME}}
        return (await self._user_writes.uncached.update_one(_same(mode), held)).matched_count == 1

    async def finish(self, mode: Mode) -> None:
        """Marks an author's switch done, unless the author has changed since `mode` was read."""
        await self._user_writes.uncached.update_one(_same(mode), mark_done(Task.SWITCH_PUSH_PULL))

    async def _switch_mode(self, mode: Mode, now: datetime) -> None:
        """Gives an author the other mode, unless they have changed since `mode` was read."""
        pipeline = change({"pulled": not mode.pulled}, [Task.SWITCH_PUSH_PULL], now, watched="pulled")
        async with self._user_writes.invalidating([mode.id]) as users:
            result = await users.update_one(_same(mode), pipeline)
        if result.modified_count:
            await self._job_queue.enqueue([Job(Task.SWITCH_PUSH_PULL, Fact.USER, str(mode.id))])

    def _crosses(self, mode: Mode) -> bool:
        if mode.is_switching:
            return False
        count = mode.follower_count
        return count < self.limit * PUSHED_AGAIN if mode.pulled else count > self.limit

    async def _modes(self, author_ids: Iterable[ObjectId]) -> dict[ObjectId, Mode]:
        fields = {"pulled": 1, "follower_count": 1, "version": 1, "outbox": 1}
        documents = await self._users.find({"_id": {"$in": list(author_ids)}}, fields).to_list()
        return {document["_id"]: Mode.from_document(document) for document in documents}


def _of_other_mode(mode: Mode) -> Document:
    """Follows of another mode, and those whose BACKFILL is pending: it may have read the mode before the switch."""
    other = {"pulled": {"$ne": True}} if mode.pulled else {"pulled": True}
    return {"$or": [other, {"outbox": Task.BACKFILL.value}]}


def _same(mode: Mode) -> Document:
    return {"_id": mode.id, "version": mode.version or {"$in": [0, None]}}
