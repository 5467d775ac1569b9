"""The rules of follows, also beside blocks and beside how their authors' posts reach feeds."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowRecord, FollowState
from workers.maintenance.checks.record_rules import (
    Pair,
    Related,
    Rule,
    add_tasks,
    has_nothing_pending,
    is_pending,
    must_exist,
    rules_check,
)


def _is_of_oneself(follow: Document, _related: Related) -> object:
    is_one_person = follow.get("follower_id") == follow.get("followee_id")
    return is_one_person and follow.get("state") != FollowState.NONE.value


def _has_ended(follow: Document, _related: Related) -> object:
    return follow.get("state") == FollowState.NONE.value and has_nothing_pending(follow)


def _is_behind_a_block(follow: Document, related: Related) -> object:
    if follow.get("state") == FollowState.NONE.value or is_pending(follow, Task.BACKFILL):
        return False  # the backfill looks for a block
    pair = follow.get("follower_id"), follow.get("followee_id")
    return pair in related.blocks or pair[::-1] in related.blocks


def _asks_a_public_account(follow: Document, related: Related) -> object:
    followee = related.account(follow.get("followee_id"))
    if followee is None or followee.get("is_private") or follow.get("state") != FollowState.REQUESTED.value:
        return False
    return not is_pending(follow, Task.BACKFILL) and not is_pending(followee, Task.ACCEPT_REQUESTS)


def _has_the_wrong_mode(follow: Document, related: Related) -> object:
    """Whether it says another mode than its author's: pushed posts are in the feed, pulled ones are not."""
    followee = related.account(follow.get("followee_id"))
    if followee is None or follow.get("state") != FollowState.FOLLOWING.value or is_pending(follow, Task.BACKFILL):
        return False
    differs = bool(follow.get("pulled")) is not bool(followee.get("pulled"))
    return differs and not is_pending(followee, Task.SWITCH_PUSH_PULL)


async def _find_follows(sources: Sources, follow_id: ObjectId) -> list[FollowRecord]:
    rows = await find_by_ids(sources.database["follows"], [follow_id])
    return [FollowRecord.from_document(row) for row in rows.values()]


async def _end(sources: Sources, follow_id: ObjectId) -> None:
    for follow in await _find_follows(sources, follow_id):
        await sources.follows.unfollow(follow.follower_id, follow.followee_id, now=clock.now())


async def _accept(sources: Sources, follow_id: ObjectId) -> None:
    for follow in await _find_follows(sources, follow_id):
        (followee,) = await sources.users.by_ids([follow.followee_id])
        if follow.state is FollowState.REQUESTED and followee is not None and not followee.is_private:
            await sources.follows.accept(follow.follower_id, follow.followee_id, now=clock.now())


async def _remove_by_block(sources: Sources, follow_id: ObjectId) -> None:
    for follow in await _find_follows(sources, follow_id):
        either = _either_way([(follow.follower_id, follow.followee_id)])
        await sources.database["blocks"].update_many(either, [add_pending([Task.REMOVE_FOLLOWS], clock.now())])


def _either_way(pairs: Sequence[Pair]) -> Document:
    return {
        "$or": [
            {"blocker_id": blocker_id, "blocked_id": blocked_id}
            for pair in pairs
            for blocker_id, blocked_id in (pair, pair[::-1])
        ]
    }


async def _find_blocks(sources: Sources, follows: Sequence[Document], session: Session) -> frozenset[Pair]:
    """The blocks between followers and followees that have removed the follows already."""
    if not follows:
        return frozenset()
    either = _either_way([(follow["follower_id"], follow["followee_id"]) for follow in follows])
    query = {**either, "outbox": {"$ne": Task.REMOVE_FOLLOWS.value}}
    rows = await sources.database["blocks"].find(query, session=session).to_list()
    return frozenset((row["blocker_id"], row["blocked_id"]) for row in rows)


_RULES = (
    must_exist("follower_id", "users", _end),
    must_exist("followee_id", "users", _end),
    Rule(name="self", why="nobody follows oneself", is_broken=_is_of_oneself, repair=_end),
    Rule(
        name="ended",
        why="it has ended, no task is pending, and it is still there",
        is_broken=_has_ended,
        repair=add_tasks("follows", Task.COUNT, Task.COUNT_FOLLOWING, Task.NOTIFY, Task.BACKFILL),
    ),
    Rule(
        name="blocked",
        why="there is a block between the two, and its ending of the follow is not pending",
        is_broken=_is_behind_a_block,
        repair=_remove_by_block,
    ),
    Rule(
        name="requested",
        why="it asks to follow an account that is public",
        is_broken=_asks_a_public_account,
        repair=_accept,
    ),
    Rule(
        name="pulled",
        why="the author's posts are pushed or pulled, the follow says the other, and no switch is pending",
        is_broken=_has_the_wrong_mode,
        repair=add_tasks("follows", Task.BACKFILL),
    ),
)
FOLLOWS = rules_check(
    "follows", _RULES, refers_to={"follower_id": "users", "followee_id": "users"}, find_blocks=_find_blocks
)
