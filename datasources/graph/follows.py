"""Who follows whom, and who asks to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId

from datasources.graph.cached_relations import GraphWrites
from datasources.graph.follow_writes import STANDING, restart_backfills, set_state, upsert_follow
from datasources.graph.viewer_relations import both_ways
from datasources.jobs.outbox import FIRST_PAUSE, find_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.counters import set_numbers
from datasources.mongo.pages import find_page
from datasources.mongo.queries import BY_ID, among
from datasources.mongo.sharded_ids import ShardedIds
from datasources.mongo.transactions import in_transaction
from domain.errors import NotFound
from domain.jobs import JOBS, Fact, Task
from domain.limits import FOLLOWING_MAX
from domain.paging import Page, PageRequest, cut_page
from domain.records.follows import FollowRecord, FollowState

_COUNTED = {Task.COUNT: "counted", Task.COUNT_FOLLOWING: "counted_following"}
_OVER: Document = {"state": FollowState.NONE.value, "outbox": {"$exists": False}}


class FollowStore:
    """The collection `follows`. A follow is a fact; its end is a change of that fact."""

    def __init__(self, database: Database, job_queue: JobQueue, writes: GraphWrites, sharded_ids: ShardedIds) -> None:
        self._client = database.client
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._uncached_users = database["users"]  # to write their outboxes, which are not cached
        self._writes = writes
        self._job_queue = job_queue
        self._where = partial(sharded_ids.with_accounts, "follower_id")

    async def follow(
        self, follower_id: ObjectId, followee_id: ObjectId, *, is_private: bool, now: datetime
    ) -> FollowRecord:
        """Makes one user follow another or, with a private account, request to; a follow that stands stays as it is.

        Safe to repeat; of concurrent calls as many pass as there is room for. A block made meanwhile wins. Raises
        Refusal (TOO_MANY_FOLLOWS, BUSY), NotFound.
        """
        state = FollowState.REQUESTED if is_private else FollowState.FOLLOWING
        async with self._writes.follows.invalidating(both_ways(follower_id, followee_id)) as follows:
            document = await upsert_follow(follows, follower_id, followee_id, state, now, self._job_queue.publishing)
        await self._job_queue.enqueue_pending(Fact.FOLLOW, [document])
        follow = FollowRecord.from_document(document)
        if await self.end_if_blocked(follow, now=now):
            raise NotFound("user", field=["userId"])
        return follow

    async def end_if_blocked(self, follow: FollowRecord, *, now: datetime) -> bool:
        """Ends a follow that was written while, or after, a block removed the two's follows; whether there is a block.

        Safe to repeat: it ends the follow that was read, not one that began later.
        """
        follower_id, followee_id = follow.follower_id, follow.followee_id
        either = [
            {"blocker_id": blocker_id, "blocked_id": blocked_id}
            for blocker_id, blocked_id in both_ways(follower_id, followee_id)
        ]
        if await self._blocks.find_one({"$or": either}, {"_id": 1}) is None:
            return False
        await self._set_state(follower_id, followee_id, FollowState.NONE, now, {"version": follow.version})
        return True

    async def unfollow(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> None:
        """Ends one user's follow, or request to follow, of another. Atomic and safe to repeat."""
        await self._set_state(follower_id, followee_id, FollowState.NONE, now)

    async def accept(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> bool:
        """Accepts a request; False if there is neither a request nor a follow. Atomic and safe to repeat."""
        only = {"state": {"$in": STANDING}}
        return await self._set_state(follower_id, followee_id, FollowState.FOLLOWING, now, only)

    async def accept_as_read(self, follow: FollowRecord, *, now: datetime) -> None:
        """Accepts a request as it was read, unless it has changed since. Atomic and safe to repeat."""
        only = {"state": FollowState.REQUESTED.value, "version": follow.version}
        await self._set_state(follow.follower_id, follow.followee_id, FollowState.FOLLOWING, now, only)

    async def decline(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> None:
        """Declines a request; does nothing to a follow that stands. Atomic and safe to repeat."""
        only = {"state": FollowState.REQUESTED.value}
        await self._set_state(follower_id, followee_id, FollowState.NONE, now, only)

    async def accept_requests(self, user_id: ObjectId, *, now: datetime, limit: int) -> bool:
        """Accepts up to `limit` requests of an account for which ACCEPT_REQUESTS is pending; whether there may be more.

        If the account is private again, it accepts none. Account and requests change in one transaction, so no request
        made after that is accepted. Safe to repeat.
        """

        async def apply(session: Session) -> list[ObjectId]:
            pending = {"_id": user_id, "outbox": Task.ACCEPT_REQUESTS.value}
            account = await self._uncached_users.find_one(pending, {"is_private": 1}, session=session)
            query = {"followee_id": user_id, "state": FollowState.REQUESTED.value}
            requests = await self._follows.find(query, {"follower_id": 1}, limit=limit, session=session).to_list()
            if account is None or account.get("is_private"):
                requests = []
            held = {"$set": {"due_at": now + FIRST_PAUSE}}  # a write: the account cannot go private beside it
            await self._uncached_users.update_one(
                pending, held if len(requests) == limit else mark_done(Task.ACCEPT_REQUESTS), session=session
            )
            ids, pipeline = (
                [row["_id"] for row in requests],
                set_state(FollowState.FOLLOWING, now, self._job_queue.publishing),
            )
            pairs = [pair for row in requests for pair in both_ways(row["follower_id"], user_id)]
            async with self._writes.follows.invalidating(pairs, session) as follows:
                await follows.update_many({"_id": {"$in": ids}}, pipeline, session=session)
            return ids

        accepted = await in_transaction(self._client, apply)
        documents = await self._follows.find({"_id": {"$in": accepted}}).to_list()
        await self._job_queue.enqueue_pending(Fact.FOLLOW, documents)
        return len(accepted) == limit

    async def followers(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Who follows a user, latest first."""
        return await self._page({"followee_id": user_id, "state": FollowState.FOLLOWING.value}, "follower_id", request)

    async def following(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Whom a user follows, latest first."""
        return await self._page({"follower_id": user_id, "state": FollowState.FOLLOWING.value}, "followee_id", request)

    async def requests(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Who asks to follow a user, latest first."""
        return await self._page({"followee_id": user_id, "state": FollowState.REQUESTED.value}, "follower_id", request)

    async def to_pull(self, follower_id: ObjectId) -> list[ObjectId]:
        """The followees whose posts the feed does not hold: newly followed, or with too many followers."""
        followed = {"follower_id": follower_id, "state": FollowState.FOLLOWING.value}
        either = [{**followed, "outbox": Task.BACKFILL.value}, {**followed, "pulled": True}]
        return [row["followee_id"] for row in await self._follows.find({"$or": either}, {"followee_id": 1}).to_list()]

    async def followees(self, follower_id: ObjectId, *, pushed: bool = False) -> list[ObjectId]:
        """Everybody whom a user follows, in no order; if `pushed`, without those whose posts are only ever pulled.

        A `pulled` follow with BACKFILL pending counts as pushed: it may be pushed once that is done.
        """
        query: Document = {"follower_id": follower_id, "state": FollowState.FOLLOWING.value}
        if pushed:
            query["$or"] = [{"pulled": {"$ne": True}}, {"outbox": Task.BACKFILL.value}]
        rows = self._follows.find(query, {"_id": 0, "followee_id": 1}, batch_size=FOLLOWING_MAX + 1)
        return [row["followee_id"] for row in await rows.to_list()]

    async def restart_backfill(self, follower_id: ObjectId, followee_ids: Sequence[ObjectId], now: datetime) -> None:
        """Makes BACKFILL pending, so that a feed holds what the follows of these people say. Safe to repeat.

        A follow that is gone stands as an ended one until that is done.
        """
        await restart_backfills(self._writes.follows.uncached, follower_id, followee_ids, now)

    async def by_id(self, follow_id: ObjectId) -> FollowRecord | None:
        """A follow, also an ended one."""
        document = await self._follows.find_one({"_id": follow_id, **self._where([follow_id])})
        return None if document is None else FollowRecord.from_document(document)

    async def pending(self, task: Task, follow_ids: Sequence[ObjectId]) -> list[FollowRecord]:
        """Those of these follows, also ended ones, for which a task is pending, oldest first."""
        query = {"_id": {"$in": list(follow_ids)}, **self._where(follow_ids), "outbox": task.value}
        return [FollowRecord.from_document(row) async for row in self._follows.find(query, sort=[("_id", 1)])]

    async def set_notified(self, notified: Mapping[ObjectId, int], session: Session) -> None:
        """Stores how many notifications tell of each of these follows, for `verify`."""
        await set_numbers(self._writes.follows.uncached, "notified", notified, session, self._where)

    async def mark_done(
        self, follows: Sequence[FollowRecord], task: Task, session: Session | None = None, **values: Any
    ) -> bool:
        """Takes a task out of follows' outboxes and sets `values`, unless they have changed since they were read.

        Whether it was still pending for all of them, as they were read. Deletes those that ended and have none left.
        """
        same = [{**_key(follow), "version": follow.version, "outbox": task.value} for follow in follows]
        if not same:
            return True
        pipeline = [*([{"$set": values}] if values else ()), *mark_done(task)]
        collection = self._writes.follows.uncached
        updated = await collection.update_many({"$or": same}, pipeline, session=session)
        if updated.matched_count:
            over = {**among([_key(follow) for follow in follows], "follower_id"), **_OVER}
            await collection.delete_many(over, session=session, hint=BY_ID)
        return updated.matched_count == len(same)

    async def pending_counts(
        self, task: Task, user_ids: Sequence[ObjectId], session: Session, limit: int
    ) -> list[Document]:
        """Follows that one of the users' counters does not reflect yet, in the order of the users.

        COUNT is about the counter of followers, COUNT_FOLLOWING about that of followees.
        """
        field = JOBS[task, Fact.FOLLOW].key_field
        fields = {field: 1, "follower_id": 1, "state": 1, _COUNTED[task]: 1}
        return await find_pending(self._follows, field, user_ids, task, fields, session, limit)

    async def set_counted(self, task: Task, documents: Sequence[Document], session: Session) -> None:
        """Marks these follows as reflected in a counter; deletes those that ended and have nothing pending."""
        query = among(documents, "follower_id")
        follows = {"$eq": ["$state", FollowState.FOLLOWING.value]}
        pipeline = [{"$set": {_COUNTED[task]: follows}}, *mark_done(task)]
        collection = self._writes.follows.uncached
        await collection.update_many(query, pipeline, session=session, hint=BY_ID)
        await collection.delete_many({**query, **_OVER}, session=session, hint=BY_ID)

    async def _page(self, query: Document, field: str, request: PageRequest) -> Page[ObjectId]:
        rows = await find_page(self._follows, query, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row[field]) for row in rows])

    async def _set_state(
        self,
        follower_id: ObjectId,
        followee_id: ObjectId,
        state: FollowState,
        now: datetime,
        only: Document | None = None,
    ) -> bool:
        """Brings a follow into a state; whether there was one, and such a one as `only` says."""
        query: Document = {"follower_id": follower_id, "followee_id": followee_id, **(only or {})}
        async with self._writes.follows.invalidating(both_ways(follower_id, followee_id)) as follows:
            document = await follows.find_one_and_update(
                query, set_state(state, now, self._job_queue.publishing), return_document=True
            )
        if document is not None:
            await self._job_queue.enqueue_pending(Fact.FOLLOW, [document])
        return document is not None


def _key(follow: FollowRecord) -> Document:
    return {"_id": follow.id, "follower_id": follow.follower_id}
