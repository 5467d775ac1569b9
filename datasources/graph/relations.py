"""How people stand to each other, read for many pairs at once."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from bson import ObjectId

from datasources.mongo.batched import MAX_BATCH, MongoBatcher
from datasources.mongo.client import Database, Document, Readable, time_limit
from domain.lenient_reading import known_value
from domain.records.follows import FollowState
from domain.visibility import ONESELF, Relation

Pair = tuple[ObjectId, ObjectId]  # a viewer, and whom they look at


def both_ways(user_id: ObjectId, other_id: ObjectId) -> tuple[Pair, Pair]:
    """The two relations of two users."""
    return (user_id, other_id), (other_id, user_id)


class Relations:
    """The collections `follows`, `blocks` and `mutes`, as far as they say how people stand to each other."""

    def __init__(self, database: Database) -> None:
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._mutes: Readable = database["mutes"]
        self._reads = MongoBatcher(self._read, MAX_BATCH)

    async def of(self, pairs: Sequence[Pair]) -> list[Relation]:
        """How the first of each pair, as viewer, stands to the second, for a few hundred pairs.

        Three operations for all who ask at the same time.
        """
        return await self._reads.submit(pairs, time_limit(self._follows))

    async def blocked_pairs(self, pairs: Collection[Pair]) -> set[Pair]:
        """The pairs with a block between the two, in either direction; one operation, none for no pairs."""
        if not pairs:
            return set()
        others: dict[ObjectId, list[ObjectId]] = {}
        for one, other in pairs:
            others.setdefault(one, []).append(other)
        found = await _between(self._blocks, "blocker_id", "blocked_id", others)
        walls = {(row["blocker_id"], row["blocked_id"]) for row in found}
        return {(one, other) for one, other in pairs if {(one, other), (other, one)} & walls}

    async def _read(self, asked: Sequence[Sequence[Pair]]) -> list[list[Relation]]:
        all_pairs = [pair for pairs in asked for pair in pairs]
        found = iter(await find_relations(self._follows, self._blocks, self._mutes, all_pairs))
        return [list(islice(found, len(pairs))) for pairs in asked]


async def find_relations(follows: Readable, blocks: Readable, mutes: Readable, pairs: Sequence[Pair]) -> list[Relation]:
    """How the first of each pair, as viewer, stands to the second, in their order; three operations side by side."""
    if not pairs:
        return []
    others: dict[ObjectId, list[ObjectId]] = {}
    for viewer_id, user_id in pairs:
        others.setdefault(viewer_id, []).append(user_id)
    muted = [{"muter_id": viewer_id, "muted_id": {"$in": ids}} for viewer_id, ids in others.items()]
    followed, blocked, silent = await asyncio.gather(
        _between(follows, "follower_id", "followee_id", others),
        _between(blocks, "blocker_id", "blocked_id", others),
        mutes.find({"$or": muted}).to_list(),
    )
    states = {(row["follower_id"], row["followee_id"]): known_value(FollowState, row["state"]) for row in followed}
    walls = {(row["blocker_id"], row["blocked_id"]) for row in blocked}
    mute = {(row["muter_id"], row["muted_id"]) for row in silent}
    return [
        ONESELF
        if user_id == viewer_id
        else Relation(
            follow_state=states.get((viewer_id, user_id), FollowState.NONE),
            is_followed=states.get((user_id, viewer_id)) is FollowState.FOLLOWING,
            has_blocked=(viewer_id, user_id) in walls,
            is_blocked=(user_id, viewer_id) in walls,
            has_muted=(viewer_id, user_id) in mute,
        )
        for viewer_id, user_id in pairs
    ]


async def _between(edges: Readable, one: str, other: str, pairs: Mapping[ObjectId, list[ObjectId]]) -> list[Document]:
    """Edges from each viewer to some users, and from them to the viewer.

    By the index of pairs: a plan kept from a viewer with few followers would walk another's million for a few of them.
    """
    ways = [
        way
        for viewer_id, user_ids in pairs.items()
        for way in ({one: viewer_id, other: {"$in": user_ids}}, {one: {"$in": user_ids}, other: viewer_id})
    ]
    return await edges.find({"$or": ways}, hint=[(one, 1), (other, 1)]).to_list()
