"""Who follows, blocks and mutes whom."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from bson import ObjectId

from datasources.gathering import TOGETHER, Gathering
from datasources.mongo import Database, Document, Session, find_page, upsert
from datasources.outbox import change, find_owed, paid
from datasources.transport import Doorbell
from domain.errors import Refusal, UserErrorCode
from domain.events import SETTLED_BY, Effect, Fact, rings_for
from domain.limits import FOLLOWING_MAX
from domain.paging import Key, Page, PageRequest, cut_page
from domain.records import FollowRecord, FollowState
from domain.visibility import ONESELF, Relation

_OWED = (Effect.COUNT, Effect.COUNT_FOLLOWING, Effect.NOTIFY, Effect.FILL)

_COUNTED = {Effect.COUNT: "counted", Effect.COUNT_FOLLOWING: "counted_following"}
_OVER: Document = {"state": FollowState.NONE.value, "outbox": {"$exists": False}}


class GraphStore:
    """The collections `follows`, `blocks` and `mutes`. A follow is a fact; ending it is a change of that fact."""

    def __init__(self, database: Database, doorbell: Doorbell) -> None:
        self._follows = database["follows"]
        self._blocks = database["blocks"]
        self._mutes = database["mutes"]
        self._reads = Gathering(self._read_relations, TOGETHER)
        self._doorbell = doorbell

    async def follow(
        self, follower_id: ObjectId, followee_id: ObjectId, *, is_private: bool, now: datetime
    ) -> FollowRecord:
        """Sees to it that one follows the other or, with a private account, has asked to; who follows already stays so.

        Atomic and safe to repeat. Raises Refusal (TOO_MANY_FOLLOWS) at the limit, which simultaneous calls may pass
        by a few.
        """
        await self._refuse_too_many(follower_id, followee_id)
        wanted = FollowState.REQUESTED if is_private else FollowState.FOLLOWING
        already = {"$eq": ["$state", FollowState.FOLLOWING.value]}
        values = {"state": {"$cond": [already, FollowState.FOLLOWING.value, wanted.value]}}
        key = {"follower_id": follower_id, "followee_id": followee_id}
        return await self._rung(await upsert(self._follows, key, change(values, _OWED, now, watched="state")))

    async def unfollow(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> None:
        """Sees to it that one neither follows the other nor asks to. Atomic and safe to repeat."""
        await self._set_state(follower_id, followee_id, FollowState.NONE, now)

    async def accept(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> bool:
        """Grants a request; False if there is neither a request nor a following. Safe to repeat."""
        only = {"$in": [FollowState.REQUESTED.value, FollowState.FOLLOWING.value]}
        return await self._set_state(follower_id, followee_id, FollowState.FOLLOWING, now, only) is not None

    async def decline(self, follower_id: ObjectId, followee_id: ObjectId, *, now: datetime) -> None:
        """Refuses a request; does nothing to one who follows already. Safe to repeat."""
        await self._set_state(follower_id, followee_id, FollowState.NONE, now, FollowState.REQUESTED.value)

    async def accept_all(self, followee_id: ObjectId, *, now: datetime) -> None:
        """Grants every open request, as an account that goes public does. Safe to repeat and to stop half way."""
        query = {"followee_id": followee_id, "state": FollowState.REQUESTED.value}
        async for document in self._follows.find(query, projection={"follower_id": 1}):
            await self._set_state(
                document["follower_id"], followee_id, FollowState.FOLLOWING, now, FollowState.REQUESTED.value
            )

    async def block(self, blocker_id: ObjectId, blocked_id: ObjectId, *, now: datetime) -> None:
        """Hides two users from each other and ends their following. Safe to repeat.

        Hiding is one write, which owes the ending: a worker pays that if this stops half way.
        """
        pipeline = change({"active": True}, [Effect.SEVER], now, watched="active")
        document = await upsert(self._blocks, {"blocker_id": blocker_id, "blocked_id": blocked_id}, pipeline)
        if "outbox" in document:
            await self.sever(document["_id"], now)

    async def unblock(self, blocker_id: ObjectId, blocked_id: ObjectId, *, now: datetime) -> None:
        """Ends a block; following does not come back by itself. Safe to repeat and to stop half way.

        What the block still owes is paid first, for it goes with the document.
        """
        block = await self._blocks.find_one({"blocker_id": blocker_id, "blocked_id": blocked_id})
        if block is not None:
            if "outbox" in block:
                await self.sever(block["_id"], now)
            await self._blocks.delete_one({"_id": block["_id"]})

    async def mute(self, muter_id: ObjectId, muted_id: ObjectId) -> None:
        """Keeps one's acts and posts out of the other's feed and notifications. Safe to repeat."""
        key = {"muter_id": muter_id, "muted_id": muted_id}
        await upsert(self._mutes, key, [{"$set": {"active": True}}])

    async def unmute(self, muter_id: ObjectId, muted_id: ObjectId) -> None:
        """Ends a mute. Safe to repeat."""
        await self._mutes.delete_one({"muter_id": muter_id, "muted_id": muted_id})

    async def relations(self, viewer_id: ObjectId, user_ids: Sequence[ObjectId]) -> list[Relation]:
        """How the viewer stands to each of these users, in their order; three operations side by side."""
        return await self._reads.of([(viewer_id, user_id) for user_id in user_ids])

    async def relations_between(self, pairs: Sequence[tuple[ObjectId, ObjectId]]) -> list[Relation]:
        """How the first of each pair, as viewer, stands to the second; three operations, for a few hundred pairs."""
        others: dict[ObjectId, list[ObjectId]] = {}
        for viewer_id, user_id in pairs:
            others.setdefault(viewer_id, []).append(user_id)
        if not pairs:
            return []
        muted = [{"muter_id": viewer_id, "muted_id": {"$in": ids}} for viewer_id, ids in others.items()]
        follows, blocks, mutes = await asyncio.gather(
            self._follows.find({"$or": _both_ways("follower_id", "followee_id", others)}).to_list(),
            self._blocks.find({"$or": _both_ways("blocker_id", "blocked_id", others)}).to_list(),
            self._mutes.find({"$or": muted}).to_list(),
        )
        states = {(row["follower_id"], row["followee_id"]): FollowState(row["state"]) for row in follows}
        blocked = {(row["blocker_id"], row["blocked_id"]) for row in blocks}
        silent = {(row["muter_id"], row["muted_id"]) for row in mutes}
        return [
            ONESELF
            if user_id == viewer_id
            else Relation(
                follow_state=states.get((viewer_id, user_id), FollowState.NONE),
                is_followed=states.get((user_id, viewer_id)) is FollowState.FOLLOWING,
                has_blocked=(viewer_id, user_id) in blocked,
                is_blocked=(user_id, viewer_id) in blocked,
                has_muted=(viewer_id, user_id) in silent,
            )
            for viewer_id, user_id in pairs
        ]

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

    async def follower_ids(self, user_id: ObjectId, chunk: int) -> AsyncIterator[list[ObjectId]]:
        """Every follower's id, in chunks; those who start following meanwhile may be missed."""
        last: Key | None = None
        while True:
            query: Document = {"followee_id": user_id, "state": FollowState.FOLLOWING.value}
            if last is not None:
                query["_id"] = {"$gt": last}
            rows = await self._follows.find(query, {"follower_id": 1}, sort=[("_id", 1)], limit=chunk).to_list()
            if rows:
                yield [row["follower_id"] for row in rows]
            if len(rows) < chunk:
                return
            last = rows[-1]["_id"]

    async def unfilled(self, follower_id: ObjectId) -> list[ObjectId]:
        """Those just followed whose posts the feed does not hold yet."""
        query = {"follower_id": follower_id, "outbox": Effect.FILL.value, "state": FollowState.FOLLOWING.value}
        return [row["followee_id"] for row in await self._follows.find(query, {"followee_id": 1}).to_list()]

    async def owing(self, effect: Effect, follow_ids: Sequence[ObjectId]) -> list[FollowRecord]:
        """Those of these follows that owe an effect, also ones that ended, oldest first."""
        query = {"_id": {"$in": list(follow_ids)}, "outbox": effect.value}
        return [FollowRecord.from_document(row) async for row in self._follows.find(query, sort=[("_id", 1)])]

    async def pay(self, follows: Sequence[FollowRecord], effect: Effect, session: Session | None = None) -> None:
        """Takes an effect out of follows' outboxes, unless their state has changed since they were read."""
        same = [{"_id": follow.id, "version": follow.version} for follow in follows]
        if same:
            await self._follows.update_many({"$or": same}, paid(effect), session=session)
            await self._follows.delete_many({"_id": {"$in": [one.id for one in follows]}, **_OVER}, session=session)

    async def owed_counts(
        self, effect: Effect, user_ids: Sequence[ObjectId], session: Session, most: int
    ) -> list[Document]:
        """Follows that one of the users' counters does not reflect yet, in the order of the users.

        COUNT's is that of followers, COUNT_FOLLOWING's that of those followed.
        """
        field = SETTLED_BY[effect, Fact.FOLLOW]
        fields = {field: 1, "state": 1, _COUNTED[effect]: 1}
        return await find_owed(self._follows, field, user_ids, effect, fields, session, most)

    async def set_counted(self, effect: Effect, ids: Sequence[ObjectId], session: Session) -> None:
        """Says that the counters now reflect these follows, and takes away those that ended and owe nothing more."""
        some = {"_id": {"$in": list(ids)}}
        follows = {"$eq": ["$state", FollowState.FOLLOWING.value]}
        pipeline = [{"$set": {_COUNTED[effect]: follows}}, *paid(effect)]
        await self._follows.update_many(some, pipeline, session=session)
        await self._follows.delete_many({**some, **_OVER}, session=session)

    async def sever(self, block_id: ObjectId, now: datetime) -> None:
        """Ends following both ways for a block. Safe to repeat."""
        block = await self._blocks.find_one({"_id": block_id})
        if block is not None:
            await self.unfollow(block["blocker_id"], block["blocked_id"], now=now)
            await self.unfollow(block["blocked_id"], block["blocker_id"], now=now)
            await self._blocks.update_one({"_id": block_id}, paid(Effect.SEVER))

    async def _read_relations(self, asked: Sequence[Sequence[tuple[ObjectId, ObjectId]]]) -> list[list[Relation]]:
        found = iter(await self.relations_between([pair for pairs in asked for pair in pairs]))
        return [list(islice(found, len(pairs))) for pairs in asked]

    async def _edges(self, query: Document, other: str, request: PageRequest) -> Page[ObjectId]:
        found = await find_page(self._follows, query, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], row[other]) for row in found])

    async def _set_state(
        self, follower_id: ObjectId, followee_id: ObjectId, state: FollowState, now: datetime, only: object = None
    ) -> FollowRecord | None:
        query: Document = {"follower_id": follower_id, "followee_id": followee_id}
        if only is not None:
            query["state"] = only
        asked = {"$eq": ["$state", FollowState.REQUESTED.value]}
        accepted = {"$or": [{"$ifNull": ["$accepted", False]}, asked]} if state is FollowState.FOLLOWING else False
        pipeline = change({"state": state.value, "accepted": accepted}, _OWED, now, watched="state")
        document = await self._follows.find_one_and_update(query, pipeline, return_document=True)
        return None if document is None else await self._rung(document)

    async def _rung(self, document: Document) -> FollowRecord:
        await self._doorbell.ring(rings_for(Fact.FOLLOW, document))
        return FollowRecord.from_document(document)

    async def _refuse_too_many(self, follower_id: ObjectId, followee_id: ObjectId) -> None:
        others = {"follower_id": follower_id, "followee_id": {"$ne": followee_id}, "state": {"$ne": "NONE"}}
        if await self._follows.count_documents(others, limit=FOLLOWING_MAX) >= FOLLOWING_MAX:
            message = f"One can follow {FOLLOWING_MAX:,} people at most."
            raise Refusal(UserErrorCode.TOO_MANY_FOLLOWS, message, field=["userId"])


def _both_ways(one: str, other: str, pairs: Mapping[ObjectId, list[ObjectId]]) -> list[Document]:
    """From each viewer to some users, and from them to the viewer."""
    return [
        way
        for viewer_id, user_ids in pairs.items()
        for way in ({one: viewer_id, other: {"$in": user_ids}}, {one: {"$in": user_ids}, other: viewer_id})
    ]
