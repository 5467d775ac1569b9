"""Who follows, blocks and mutes whom."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from datasources.graph.cached_relations import GraphWrites
from datasources.graph.follow_slots import becoming, upsert_follow
from datasources.graph.relations import Pair, Relations, both_ways
from datasources.jobs.outbox import GRACE, add_pending, change, find_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.counters import set_numbers
from datasources.mongo.pages import find_page
from datasources.mongo.transactions import in_transaction
from datasources.mongo.upserts import upsert
from domain.errors import NotFound
from domain.jobs import JOBS, Fact, Task, jobs_of
from domain.limits import FOLLOWING_MAX
from domain.paging import Page, PageRequest, cut_page
from domain.records.follows import FollowRecord, FollowState
from domain.visibility import Relation

_COUNTED = {Task.COUNT: "counted", Task.COUNT_FOLLOWING: "counted_following"}
_VERSION: Document = {"$ifNull": ["$version", 0]}
_OVER: Document = {"state": FollowState.NONE.value, "outbox": {"$exists": False}}


class GraphStore:
    """The collections `follows`, `blocks` and `mutes`. A follow is a fact; ending it is a change of that fact."""

    def __init__(self, database: Database, job_queue: JobQueue, writes: GraphWrites) -> None:
        self._client = database.client
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._mutes: Readable = database["mutes"]
        self._users = database["users"]  # only their outboxes, which are not cached, are written here
        self._writes = writes
        self._relations = Relations(database)
        self._job_queue = job_queue

    async def follow(
        self, follower_id: ObjectId, followee_id: ObjectId, *, is_private: bool, now: datetime
    ) -> FollowRecord:
        """Sees to it that one follows the other or, with a private account, has asked to; who follows already stays so.

        Safe to repeat; of simultaneous calls as many pass as there is room. A block that came meanwhile wins. Raises
        Refusal (TOO_MANY_FOLLOWS, BUSY), NotFound.
        """
        wanted = FollowState.REQUESTED if is_private else FollowState.FOLLOWING
        async with self._writes.follows.invalidating(both_ways(follower_id, followee_id)) as follows:
            document = await upsert_follow(follows, follower_id, followee_id, wanted, now)
        follow = await self._due(document)
        if await self.end_if_blocked(follow, now=now):
            raise NotFound("user", field=["userId"])
        return follow

    async def end_if_blocked(self, follow: FollowRecord, *, now: datetime) -> bool:
        """Ends a follow that was written while, or after, a block severed the two; whether there is a block.

        Safe to repeat: it ends the follow that was read, not one that began later.
        """
        follower_id, followee_id = follow.follower_id, follow.followee_id
        ends = [follower_id, followee_id]
        either = [{"blocker_id": one, "blocked_id": other} for one, other in (ends, ends[::-1])]
        if await self._blocks.find_one({"$or": either}, {"_id": 1}) is None:
            return False
        await self._set_state(follower_id, followee_id, FollowState.NONE, now, {"version": follow.version})
        return True

    async def unfollow(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> None:
        """Sees to it that one neither follows the other nor asks to. Atomic and safe to repeat."""
        await self._set_state(follower_id, followee_id, FollowState.NONE, now)

    async def accept(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> bool:
        """Grants a request; False if there is neither a request nor a following. Safe to repeat."""
        only = {"$in": [FollowState.REQUESTED.value, FollowState.FOLLOWING.value]}
        found = await self._set_state(follower_id, followee_id, FollowState.FOLLOWING, now, {"state": only})
        return found is not None

    async def restart_accept_requests(self, follow: FollowRecord, *, now: datetime) -> None:
        """Grants a request as it was read, unless anything has happened to it since. Safe to repeat."""
        only = {"state": FollowState.REQUESTED.value, "version": follow.version}
        await self._set_state(follow.follower_id, follow.followee_id, FollowState.FOLLOWING, now, only)

    async def decline(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> None:
        """Refuses a request; does nothing to one who follows already. Safe to repeat."""
        only = {"state": FollowState.REQUESTED.value}
        await self._set_state(follower_id, followee_id, FollowState.NONE, now, only)

    async def accept_requests(self, user_id: ObjectId, *, now: datetime, most: int) -> bool:
        """Pays an account's GRANT: lets in up to `most` of those who asked; True if there may be more of them.

        If the account is private again, nobody is let in. Account and requests change in one transaction, so nobody who
        asked after that is let in either. Safe to repeat.
        """

        async def apply(session: Session) -> list[ObjectId]:
            users, pending = self._users, {"_id": user_id, "outbox": Task.ACCEPT_REQUESTS.value}
            account = await users.find_one(pending, {"is_private": 1}, session=session)
            query = {"followee_id": user_id, "state": FollowState.REQUESTED.value}
            asked = await self._follows.find(query, {"follower_id": 1}, limit=most, session=session).to_list()
            if account is None or account.get("is_private"):
                asked = []
            held = {"$set": {"due_at": now + GRACE}}  # a write: the account cannot go private beside it
            await users.update_one(
                pending, held if len(asked) == most else mark_done(Task.ACCEPT_REQUESTS), session=session
            )
            let_in, pipeline = [row["_id"] for row in asked], becoming(FollowState.FOLLOWING, now)
            pairs = [pair for row in asked for pair in both_ways(row["follower_id"], user_id)]
            async with self._writes.follows.invalidating(pairs, session) as follows:
                await follows.update_many({"_id": {"$in": let_in}}, pipeline, session=session)
            return let_in

        let_in = await in_transaction(self._client, apply)
        await self._enqueue_all(await self._follows.find({"_id": {"$in": let_in}}).to_list())
        return len(let_in) == most

    async def block(self, blocker_id: ObjectId, blocked_id: ObjectId, *, now: datetime) -> None:
        """Hides two users from each other and ends their following. Safe to repeat.

        Hiding is one write, which owes the ending: a worker pays that if this stops half way.
        """
        pipeline = change({"active": True}, [Task.REMOVE_FOLLOWS], now, watched="active")
        async with self._writes.blocks.invalidating(both_ways(blocker_id, blocked_id)) as blocks:
            document = await upsert(blocks, {"blocker_id": blocker_id, "blocked_id": blocked_id}, pipeline)
        if "outbox" in document:
            await self.remove_follows(document["_id"], now)

    async def unblock(self, blocker_id: ObjectId, blocked_id: ObjectId, *, now: datetime) -> None:
        """Ends a block, and with it what following a worker had not come to ending. Atomic and safe to repeat."""

        async def apply(session: Session) -> list[Document]:
            pair = {"blocker_id": blocker_id, "blocked_id": blocked_id}
            async with self._writes.blocks.invalidating(both_ways(blocker_id, blocked_id), session) as blocks:
                block = await blocks.find_one_and_delete(pair, session=session)
            return [] if block is None else await self._end_both_ways(block, now, session)

        await self._enqueue_all(await in_transaction(self._client, apply))

    async def mute(self, muter_id: ObjectId, muted_id: ObjectId) -> None:
        """Keeps one's acts and posts out of the other's feed and notifications. Safe to repeat."""
        key = {"muter_id": muter_id, "muted_id": muted_id}
        async with self._writes.mutes.invalidating([(muter_id, muted_id)]) as mutes:
            await upsert(mutes, key, [{"$set": {"active": True}}])

    async def unmute(self, muter_id: ObjectId, muted_id: ObjectId) -> None:
        """Ends a mute. Safe to repeat."""
        async with self._writes.mutes.invalidating([(muter_id, muted_id)]) as mutes:
            await mutes.delete_one({"muter_id": muter_id, "muted_id": muted_id})

    async def relations(self, pairs: Sequence[Pair]) -> list[Relation]:
        """How the first of each pair, as viewer, stands to the second; three operations for all who ask at once."""
        return await self._relations.of(pairs)

    async def blocked_pairs(self, pairs: Collection[Pair]) -> set[Pair]:
        """The pairs with a block between the two, in either direction; one operation, none for no pairs."""
        return await self._relations.blocked_pairs(pairs)

    async def followers(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Who follows a user, latest first."""
        return await self._edges({"followee_id": user_id, "state": "FOLLOWING"}, "follower_id", request)

    async def following(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Whom a user follows, latest first."""
        return await self._edges({"follower_id": user_id, "state": "FOLLOWING"}, "followee_id", request)

    async def requests(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Who asks to follow a user, latest first."""
        return await self._edges({"followee_id": user_id, "state": "REQUESTED"}, "follower_id", request)

    async def blocked(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Whom a user has blocked, latest first."""
        found = await find_page(self._blocks, {"blocker_id": user_id}, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row["blocked_id"]) for row in found])

    async def muted(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Whom a user has muted, latest first."""
        found = await find_page(self._mutes, {"muter_id": user_id}, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row["muted_id"]) for row in found])

    async def to_pull(self, follower_id: ObjectId) -> list[ObjectId]:
        """Those followed whose posts the feed does not hold: just followed, or too many follow them."""
        followed = {"follower_id": follower_id, "state": FollowState.FOLLOWING.value}
        either = [{**followed, "outbox": Task.BACKFILL.value}, {**followed, "pulled": True}]
        return [row["followee_id"] for row in await self._follows.find({"$or": either}, {"followee_id": 1}).to_list()]

    async def followees(self, follower_id: ObjectId, *, pushed: bool = False) -> list[ObjectId]:
        """Everybody whom a user follows, in no order; if `pushed`, without those whose posts are only ever pulled.

        What is `pulled` and owes FILL may be filled in as soon as that is paid.
        """
        query: Document = {"follower_id": follower_id, "state": FollowState.FOLLOWING.value}
        if pushed:
            query["$or"] = [{"pulled": {"$ne": True}}, {"outbox": Task.BACKFILL.value}]
        rows = self._follows.find(query, {"_id": 0, "followee_id": 1}, batch_size=FOLLOWING_MAX + 1)
        return [row["followee_id"] for row in await rows.to_list()]

    async def restart_backfill(self, follower_id: ObjectId, followee_ids: Sequence[ObjectId], now: datetime) -> None:
        """Lets a feed be made what the follows of these people say, also of those whom nobody follows any more.

        A follow that is gone stands as an ended one until that is done. Safe to repeat.
        """
        said = {"state": {"$ifNull": ["$state", FollowState.NONE.value]}, "version": {"$add": [_VERSION, 1]}}
        pipeline = [{"$set": said}, add_pending([Task.BACKFILL], now)]
        pairs = [{"follower_id": follower_id, "followee_id": followee_id} for followee_id in followee_ids]
        if pairs:
            fills = [UpdateOne(pair, pipeline, upsert=True) for pair in pairs]
            await self._writes.follows.uncached.bulk_write(fills, ordered=False)

    async def by_id(self, follow_id: ObjectId) -> FollowRecord | None:
        """One follow, whatever it owes, also one that ended."""
        found = await self._follows.find_one({"_id": follow_id})
        return None if found is None else FollowRecord.from_document(found)

    async def pending(self, task: Task, follow_ids: Sequence[ObjectId]) -> list[FollowRecord]:
        """Those of these follows that owe an effect, also ones that ended, oldest first."""
        query = {"_id": {"$in": list(follow_ids)}, "outbox": task.value}
        return [FollowRecord.from_document(row) async for row in self._follows.find(query, sort=[("_id", 1)])]

    async def set_notified(self, notified: Mapping[ObjectId, int], session: Session) -> None:
        """Says of these by how many notifications they are told of, for `verify`."""
        await set_numbers(self._writes.follows.uncached, "notified", notified, session)

    async def mark_done(
        self, follows: Sequence[FollowRecord], task: Task, session: Session | None = None, **values: Any
    ) -> bool:
        """Takes an effect out of follows' outboxes and sets `values`, unless they have changed since they were read.

        Whether all of them owed it still, as they were read.
        """
        same = [{"_id": follow.id, "version": follow.version, "outbox": task.value} for follow in follows]
        if not same:
            return True
        pipeline = [*([{"$set": values}] if values else ()), *mark_done(task)]
        stored = self._writes.follows.uncached
        done = await stored.update_many({"$or": same}, pipeline, session=session)
        if done.matched_count:
            await stored.delete_many({"_id": {"$in": [one.id for one in follows]}, **_OVER}, session=session)
        return done.matched_count == len(same)

    async def pending_counts(
        self, task: Task, user_ids: Sequence[ObjectId], session: Session, most: int
    ) -> list[Document]:
        """Follows that one of the users' counters does not reflect yet, in the order of the users.

        COUNT's is that of followers, COUNT_FOLLOWING's that of those followed.
        """
        field = JOBS[task, Fact.FOLLOW].key_field
        fields = {field: 1, "state": 1, _COUNTED[task]: 1}
        return await find_pending(self._follows, field, user_ids, task, fields, session, most)

    async def set_counted(self, task: Task, ids: Sequence[ObjectId], session: Session) -> None:
        """Says that the counters now reflect these follows, and takes away those that ended and owe nothing more."""
        some = {"_id": {"$in": list(ids)}}
        follows = {"$eq": ["$state", FollowState.FOLLOWING.value]}
        pipeline = [{"$set": {_COUNTED[task]: follows}}, *mark_done(task)]
        stored = self._writes.follows.uncached
        await stored.update_many(some, pipeline, session=session)
        await stored.delete_many({**some, **_OVER}, session=session)

    async def remove_follows(self, block_id: ObjectId, now: datetime) -> None:
        """Ends following both ways for a block that owes it. Atomic, so it touches nothing begun after an unblock."""

        async def apply(session: Session) -> list[Document]:
            pending = {"_id": block_id, "outbox": Task.REMOVE_FOLLOWS.value}
            block = await self._writes.blocks.uncached.find_one_and_update(
                pending, mark_done(Task.REMOVE_FOLLOWS), session=session
            )
            return [] if block is None else await self._end_both_ways(block, now, session)

        await self._enqueue_all(await in_transaction(self._client, apply))

    async def _end_both_ways(self, block: Document, now: datetime, session: Session) -> list[Document]:
        pairs, pipeline = both_ways(block["blocker_id"], block["blocked_id"]), becoming(FollowState.NONE, now)
        async with self._writes.follows.invalidating(pairs, session) as follows:
            found = [
                await follows.find_one_and_update(
                    {"follower_id": one, "followee_id": other}, pipeline, return_document=True, session=session
                )
                for one, other in pairs
            ]
        return [one for one in found if one is not None]

    async def _edges(self, query: Document, other: str, request: PageRequest) -> Page[ObjectId]:
        found = await find_page(self._follows, query, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row[other]) for row in found])

    async def _set_state(
        self,
        follower_id: ObjectId,
        followee_id: ObjectId,
        state: FollowState,
        now: datetime,
        only: Document | None = None,
    ) -> FollowRecord | None:
        query: Document = {"follower_id": follower_id, "followee_id": followee_id, **(only or {})}
        async with self._writes.follows.invalidating(both_ways(follower_id, followee_id)) as follows:
            document = await follows.find_one_and_update(query, becoming(state, now), return_document=True)
        return None if document is None else await self._due(document)

    async def _due(self, document: Document) -> FollowRecord:
        await self._enqueue_all([document])
        return FollowRecord.from_document(document)

    async def _enqueue_all(self, documents: Sequence[Document]) -> None:
        await self._job_queue.enqueue({job for document in documents for job in jobs_of(Fact.FOLLOW, document)})
