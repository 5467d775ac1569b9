"""How users stand to each other, read for many pairs at once."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

from bson import ObjectId

from datasources.mongo.batched_operations import MAX_BATCH, MongoBatcher
from datasources.mongo.client import Database, Document, Readable, time_limit
from domain.lenient_reading import known_value
from domain.records.follows import FollowState
from domain.visibility import ONESELF, Relation

Pair = tuple[ObjectId, ObjectId]  # a viewer, and whom they look at


def both_ways(user_id: ObjectId, other_id: ObjectId) -> tuple[Pair, Pair]:
    """The two relations of two users."""
    return (user_id, other_id), (other_id, user_id)


class Relations:
    def __init__(self, database: Database) -> None:
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._mutes: Readable = database["mutes"]
        self._reads = MongoBatcher(self._read, MAX_BATCH)

    async def by_pairs(self, pairs: Sequence[Pair]) -> list[Relation]:
        """How the first of each pair, as viewer, stands to the second, in their order, for a few hundred pairs.

        Three operations for all concurrent callers together.
        """
        return await self._reads.submit(pairs, time_limit(self._follows))

    async def blocked_pairs(self, pairs: Collection[Pair]) -> set[Pair]:
        """The pairs with a block between the two, in either direction; one operation, none for no pairs."""
        if not pairs:
            return set()
        rows = await _find_between(self._blocks, "blocker_id", "blocked_id", _by_viewer(pairs))
        blocked = {(row["blocker_id"], row["blocked_id"]) for row in rows}
        blocked |= {(blocked_id, blocker_id) for blocker_id, blocked_id in blocked}
        return blocked.intersection(pairs)

    async def _read(self, calls: Sequence[Sequence[Pair]]) -> list[list[Relation]]:
        all_pairs = [pair for pairs in calls for pair in pairs]
        relations = iter(await find_relations(self._follows, self._blocks, self._mutes, all_pairs))
        return [list(islice(relations, len(pairs))) for pairs in calls]


async def find_relations(follows: Readable, blocks: Readable, mutes: Readable, pairs: Sequence[Pair]) -> list[Relation]:
    """How the first of each pair, as viewer, stands to the second, in their order; three operations side by side."""
    if not pairs:
        return []
    by_viewer = _by_viewer(pairs)
    muted = [{"muter_id": viewer_id, "muted_id": {"$in": user_ids}} for viewer_id, user_ids in by_viewer.items()]
    follow_rows, block_rows, mute_rows = await asyncio.gather(
        _find_between(follows, "follower_id", "followee_id", by_viewer),
        _find_between(blocks, "blocker_id", "blocked_id", by_viewer),
        mutes.find({"$or": muted}).to_list(),
    )
    states = {(row["follower_id"], row["followee_id"]): known_value(FollowState, row["state"]) for row in follow_rows}
    blocked = {(row["blocker_id"], row["blocked_id"]) for row in block_rows}
    muted_pairs = {(row["muter_id"], row["muted_id"]) for row in mute_rows}
    return [
        ONESELF
        if user_id == viewer_id
        else Relation(
            follow_state=states.get((viewer_id, user_id), FollowState.NONE),
            is_followed=states.get((user_id, viewer_id)) is FollowState.FOLLOWING,
            has_blocked=(viewer_id, user_id) in blocked,
            is_blocked=(user_id, viewer_id) in blocked,
            has_muted=(viewer_id, user_id) in muted_pairs,
        )
        for viewer_id, user_id in pairs
    ]


def _by_viewer(pairs: Iterable[Pair]) -> dict[ObjectId, list[ObjectId]]:
    by_viewer: dict[ObjectId, list[ObjectId]] = {}
    for viewer_id, user_id in pairs:
        by_viewer.setdefault(viewer_id, []).append(user_id)
    return by_viewer


async def _find_between(
    edges: Readable, source: str, target: str, by_viewer: Mapping[ObjectId, list[ObjectId]]
) -> list[Document]:
    """Edges from each viewer to some users, and from them to the viewer.

    The hint names the index of pairs: a plan cached for a viewer with few followers would walk all of another's
    million to find a few.
    """
    either = [
        direction
        for viewer_id, user_ids in by_viewer.items()
        for direction in (
            {source: viewer_id, target: {"$in": user_ids}},
            {source: {"$in": user_ids}, target: viewer_id},
        )
    ]
    return await edges.find({"$or": either}, hint=[(source, 1), (target, 1)]).to_list()
