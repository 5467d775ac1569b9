"""The lists of followers against the follows that they are copied from.

A backfill changes both sides so that they agree at every moment at which none is pending.
"""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.queries import find_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowState
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.record_rules import add_tasks, is_pending

LISTED = "follower"
UNLISTED = "follow.unlisted"


async def _find_listed(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The pairs in the lists that are no follows, with no task pending that removes them."""
    pairs = [{"follower_id": id_["f"], "followee_id": id_["u"]} for id_ in ids]
    rows = await sources.database["follows"].find({"$or": pairs}, session=session).to_list()
    right = {
        (row["followee_id"], row["follower_id"])
        for row in rows
        if row["state"] == FollowState.FOLLOWING.value or is_pending(row, Task.BACKFILL)
    }
    why = "it is in the list of followers, and does not follow"
    return [
        Finding(kind=LISTED, id=f"{id_['u']}/{id_['f']}", why=why) for id_ in ids if (id_["u"], id_["f"]) not in right
    ]


async def _find_unlisted(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The follows that the list of followers lacks, with no task pending that adds them."""
    query = {"_id": {"$in": list(ids)}, "state": FollowState.FOLLOWING.value, "outbox": {"$ne": Task.BACKFILL.value}}
    rows = await sources.database["follows"].find(query, session=session).to_list()
    pairs = [{"u": row["followee_id"], "f": row["follower_id"]} for row in rows]
    listed = await find_ids(sources.database["followers"], {"_id": {"$in": pairs}}, session=session)
    why = "it is not in the list of followers, so posts are not pushed to its follower"
    return [
        Finding(kind=UNLISTED, id=str(row["_id"]), why=why)
        for row, pair in zip(rows, pairs, strict=True)
        if pair not in listed
    ]


async def _restart(sources: Sources, finding: Finding) -> None:
    followee_id, follower_id = map(ObjectId, finding.id.split("/"))
    await sources.follows.restart_backfill(follower_id, [followee_id], clock.now())


LISTED_FOLLOWERS = Check(collection="followers", find=from_snapshot(_find_listed), repairs={LISTED: _restart})
UNLISTED_FOLLOWERS = Check(
    collection="follows",
    stage="lists of followers",  # after the follows, of which some may have to end
    find=from_snapshot(_find_unlisted),
    repairs={UNLISTED: by_id(add_tasks("follows", Task.BACKFILL))},
)
