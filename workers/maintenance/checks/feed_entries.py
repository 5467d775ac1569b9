"""Feed entries against posts and follows, both ways: those that should not be there, and those that are missing."""

from collections.abc import Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.feed.entries import Delivery
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.indexes import SHOWN_POSTS
from datasources.mongo.queries import find_by_ids
from datasources.posts.posts import MERGED
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from workers.maintenance.checks.check import Finding

ENTRY = "feed_entry"
MISSING = "feed_entry.missing"
RECENT = 500  # posts of a feed that are looked for
_TOP = ObjectId("f" * 24)
Pair = tuple[ObjectId, ObjectId]


class Entry(msgspec.Struct, frozen=True):
    """One post in one feed."""

    owner_id: ObjectId
    post_id: ObjectId

    def __str__(self) -> str:
        return f"{self.owner_id}/{self.post_id}"


async def wrong_entries(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The feed entries among these whose post is gone or whose author the owner does not follow, and nobody owes it.

    Those below a floor, or of a feed that has none, are read by nobody, and go when the feed is tended.
    """
    entries = await sources.database["feed_entries"].find({"_id": {"$in": list(ids)}}, session=session).to_list()
    floors = await _floors(sources, [entry["_id"]["o"] for entry in entries], session)
    entries = [entry for entry in entries if entry["_id"]["p"] > floors.get(entry["_id"]["o"], _TOP)]
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


async def _floors(sources: Sources, owner_ids: Sequence[ObjectId], session: Session) -> dict[ObjectId, ObjectId]:
    """Above which posts these feeds are read from their entries; of none that has no floor."""
    query = {"_id": {"$in": list(set(owner_ids))}, "live": True, "floor": {"$exists": True}}
    rows = await sources.database["feeds"].find(query, {"floor": 1}, session=session).to_list()
    return {row["_id"]: row["floor"] for row in rows}


async def _follows(sources: Sources, pairs: set[Pair], session: Session) -> dict[Pair, Document]:
    followed: dict[ObjectId, list[ObjectId]] = {}
    for owner_id, author_id in pairs:
        followed.setdefault(owner_id, []).append(author_id)
    either = [{"follower_id": owner_id, "followee_id": {"$in": ids}} for owner_id, ids in followed.items()]
    rows = sources.database["follows"].find({"$or": either}, session=session).to_list() if either else None
    return {(row["follower_id"], row["followee_id"]): row for row in (await rows if rows else [])}


def _wrong(post: Document | None, follow: Document | None) -> str | None:
    follows = follow is not None and follow["state"] == FollowState.FOLLOWING.value
    if follow is not None and not follows and Task.BACKFILL.value in follow.get("outbox", ()):
        return None  # all of the author's posts are about to be taken out
    if post is None:
        return "there is no such post"
    if Task.FAN_OUT.value in post.get("outbox", ()):
        return None
    if post["deleted"] or post["status"] != PostStatus.READY.value:
        return "the post is deleted or not ready"
    return None if follows else "its owner does not follow the author"


async def missing_entries(sources: Sources, owner_ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The posts that these owners' feeds lack, of the latest few hundred above their floors.

    A post that owes its fan-out may be missing, and so may authors whose posts a follow owes to fill in or are pulled.
    """
    findings = []
    for owner_id, floor in (await _floors(sources, owner_ids, session)).items():
        posts = await _due(sources, owner_id, floor, session)
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


async def _due(sources: Sources, owner_id: ObjectId, floor: ObjectId, session: Session) -> list[Document]:
    kept = {
        "follower_id": owner_id,
        "state": FollowState.FOLLOWING.value,
        "outbox": {"$ne": Task.BACKFILL.value},
        "pulled": {"$ne": True},
    }
    follows = await sources.database["follows"].find(kept, {"followee_id": 1}, session=session).to_list()
    authors, due = [follow["followee_id"] for follow in follows], list[Document]()
    for start in range(0, len(authors), MERGED):
        shown: Document = {
            "author_id": {"$in": authors[start : start + MERGED]},
            "status": PostStatus.READY.value,
            "deleted": False,
            "_id": {"$gt": floor},
            "outbox": {"$ne": Task.FAN_OUT.value},
        }
        latest = sources.database["posts"].find(
            shown, {"author_id": 1}, sort=[("_id", -1)], limit=RECENT, session=session, hint=SHOWN_POSTS
        )
        due += await latest.to_list()
    return due


async def put_in(sources: Sources, finding: Finding) -> None:
    """Lets the follow owe the filling of its owner's feed again. Safe to repeat and beside workers."""
    owner_id, _ = (ObjectId(part) for part in finding.id.split("/"))
    await sources.graph.restart_backfill(owner_id, [ObjectId(finding.expected)], clock.now())


async def take_out(sources: Sources, finding: Finding) -> None:
    """Takes a wrong entry out of its feed. Safe to repeat and beside workers.

    Should the owner follow the author again by then, the follow is made to owe the filling of the feed once more.
    """
    owner_id, post_id = (ObjectId(part) for part in finding.id.split("/"))
    author_id = ObjectId(finding.found)
    await sources.feeds.remove_posts(Delivery(post_id, author_id, [owner_id]))
    await sources.graph.restart_backfill(owner_id, [author_id], clock.now())
