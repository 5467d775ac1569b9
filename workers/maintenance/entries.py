"""Feed entries against posts and follows, both ways: those that should not be there, and those that are missing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo import Document, Session, find_by_ids
from datasources.outbox import owing_again
from datasources.sources import Sources
from domain.events import Effect
from domain.records import FollowState, PostStatus
from workers.maintenance.findings import Finding

ENTRY = "feed_entry"
MISSING = "feed_entry.missing"
RECENT = 500  # posts of a feed that are looked for
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
        projection={"deleted": 1, "status": 1, "outbox": 1},
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
    if post["deleted"] or post["status"] != PostStatus.READY.value:
        return "the post is deleted or not ready"
    if follow is None:
        return "its owner does not follow the author"
    if Effect.FILL.value in follow.get("outbox", ()) or follow["state"] == FollowState.FOLLOWING.value:
        return None
    return "its owner does not follow the author any more"


async def missing_entries(sources: Sources, owner_ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The posts that these owners' feeds lack, of the latest few hundred of those they follow; three reads an owner.

    A post that owes its fan-out, and an author whose posts a follow owes to fill in, may be missing.
    """
    findings = []
    for owner_id in owner_ids:
        posts = await _due(sources, owner_id, session)
        keys = [{"o": owner_id, "p": post["_id"]} for post in posts]
        entries = sources.database["feed_entries"].find({"_id": {"$in": keys}}, {"_id": 1}, session=session)
        there = {entry["_id"]["p"] for entry in await entries.to_list()} if keys else set()
        why = "its owner follows the author, and nobody owes that it comes into the feed"
        findings += [
            Finding(
                kind=MISSING, id=str(Entry(owner_id, post["_id"])), expected=str(post["author_id"]), found=None, why=why
            )
            for post in posts
            if post["_id"] not in there
        ]
    return findings


async def _due(sources: Sources, owner_id: ObjectId, session: Session) -> list[Document]:
    filled = {"follower_id": owner_id, "state": FollowState.FOLLOWING.value, "outbox": {"$ne": Effect.FILL.value}}
    follows = await sources.database["follows"].find(filled, {"followee_id": 1}, session=session).to_list()
    if not follows:
        return []
    shown: Document = {
        "author_id": {"$in": [follow["followee_id"] for follow in follows]},
        "status": PostStatus.READY.value,
        "deleted": False,
        "outbox": {"$ne": Effect.FAN_OUT.value},
    }
    latest = sources.database["posts"].find(shown, {"author_id": 1}, sort=[("_id", -1)], limit=RECENT, session=session)
    return await latest.to_list()


async def put_in(sources: Sources, finding: Finding) -> None:
    """Lets the follow owe the filling of its owner's feed again. Safe to repeat and beside workers."""
    owner_id, _ = (ObjectId(part) for part in finding.id.split("/"))
    await _fill_again(sources, owner_id, ObjectId(finding.expected))


async def take_out(sources: Sources, finding: Finding) -> None:
    """Takes a wrong entry out of its feed. Safe to repeat and beside workers.

    Should the owner follow the author again by then, the follow is made to owe the filling of the feed once more.
    """
    owner_id, post_id = (ObjectId(part) for part in finding.id.split("/"))
    author_id = ObjectId(finding.found)
    await sources.feeds.take_out(post_id, [owner_id])
    await _fill_again(sources, owner_id, author_id)


async def _fill_again(sources: Sources, owner_id: ObjectId, author_id: ObjectId) -> None:
    follow = {"follower_id": owner_id, "followee_id": author_id, "state": FollowState.FOLLOWING.value}
    await sources.database["follows"].update_one(follow, [owing_again([Effect.FILL], datetime.now(UTC))])
