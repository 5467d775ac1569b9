"""Feed entries against posts and follows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo import Document, Session, find_by_ids
from datasources.outbox import owing_again
from datasources.sources import Sources
from domain.events import Effect
from domain.records import FollowState
from workers.maintenance.findings import Finding

ENTRY = "feed_entry"
Pair = tuple[ObjectId, ObjectId]


class Entry(msgspec.Struct, frozen=True):
    """One post in one feed."""

    owner_id: ObjectId
    post_id: ObjectId

    def __str__(self) -> str:
        return f"{self.owner_id}/{self.post_id}"


async def wrong_entries(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The feed entries among these whose post is gone or whose author the owner does not follow, and nobody owes it."""
    entries = await sources.database["feed_entries"].find({"_id": {"$in": list(ids)}}, session=session).to_list()
    posts = await find_by_ids(
        sources.database["posts"],
        [entry["_id"]["p"] for entry in entries],
        projection={"deleted": 1, "outbox": 1},
        session=session,
    )
    follows = await _follows(sources, {(entry["_id"]["o"], entry["a"]) for entry in entries}, session)
    findings = []
    for entry in entries:
        key = entry["_id"]
        why = _wrong(posts.get(key["p"]), follows.get((key["o"], entry["a"])))
        if why is not None:
            entry_id = str(Entry(key["o"], key["p"]))
            findings.append(Finding(kind=ENTRY, id=entry_id, expected=None, found=str(entry["a"]), why=why))
    return findings


async def _follows(sources: Sources, pairs: set[Pair], session: Session) -> dict[Pair, Document]:
    followed: dict[ObjectId, list[ObjectId]] = {}
    for owner_id, author_id in pairs:
        followed.setdefault(owner_id, []).append(author_id)
    either = [{"follower_id": owner_id, "followee_id": {"$in": ids}} for owner_id, ids in followed.items()]
    rows = sources.database["follows"].find({"$or": either}, session=session).to_list() if either else None
    return {(row["follower_id"], row["followee_id"]): row for row in (await rows if rows else [])}


def _wrong(post: Document | None, follow: Document | None) -> str | None:
    if post is None:
        return "there is no such post"
    if Effect.FAN_OUT.value in post.get("outbox", ()):
        return None
    if post["deleted"]:
        return "the post is deleted"
    if follow is None:
        return "its owner does not follow the author"
    if Effect.FILL.value in follow.get("outbox", ()) or follow["state"] == FollowState.FOLLOWING.value:
        return None
    return "its owner does not follow the author any more"


async def take_out(sources: Sources, finding: Finding) -> None:
    """Takes a wrong entry out of its feed. Safe to repeat and beside workers.

    Should the owner follow the author again by then, the follow is made to owe the filling of the feed once more.
    """
    owner_id, post_id = (ObjectId(part) for part in finding.id.split("/"))
    author_id = ObjectId(finding.found)
    await sources.feeds.take_out(post_id, [owner_id])
    follow = {"follower_id": owner_id, "followee_id": author_id, "state": FollowState.FOLLOWING.value}
    await sources.database["follows"].update_one(follow, [owing_again([Effect.FILL], datetime.now(UTC))])
