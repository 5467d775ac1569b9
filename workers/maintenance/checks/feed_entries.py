"""Feed entries against posts and follows: those that should not be there, and those that are missing."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.feed.entries import Delivery
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.indexes import SHOWN_POSTS
from datasources.mongo.queries import find_by_ids
from datasources.posts.posts import MAX_MERGED_AUTHORS
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from workers.maintenance.checks.check import Check, Finding, from_snapshot

WRONG = "feed_entry"
MISSING = "feed_entry.missing"
FEEDS = 1_000  # random feeds: a check computes the whole feed
RECENT = 500  # posts of a feed that are looked for
_TOP = ObjectId("f" * 24)
Pair = tuple[ObjectId, ObjectId]


async def _find_wrong(sources: Sources, ids: Sequence[Any], session: Session) -> list[Finding]:
    """The entries whose post is gone, or whose author the owner does not follow, with no task pending for that.

    Nobody reads entries below a feed's floor, or of a feed without a floor; refreshing the feed removes them.
    """
    entries = await sources.database["feed_entries"].find({"_id": {"$in": list(ids)}}, session=session).to_list()
    floors = await _find_floors(sources, [entry["_id"]["o"] for entry in entries], session)
    entries = [entry for entry in entries if entry["_id"]["p"] > floors.get(entry["_id"]["o"], _TOP)]
    posts = await find_by_ids(
        sources.database["posts"],
        [entry["_id"]["p"] for entry in entries],
        projection={"deleted": 1, "status": 1, "outbox": 1},
        session=session,
    )
    follows = await _find_follows(sources, {(entry["_id"]["o"], entry["a"]) for entry in entries}, session)
    findings = []
    for entry in entries:
        key = entry["_id"]
        why = _why_wrong(posts.get(key["p"]), follows.get((key["o"], entry["a"])))
        if why is not None:
            findings.append(Finding(kind=WRONG, id=f"{key['o']}/{key['p']}", found=str(entry["a"]), why=why))
    return findings


async def _find_floors(sources: Sources, owner_ids: Sequence[ObjectId], session: Session) -> dict[ObjectId, ObjectId]:
    """The post above which each of these feeds is read from its entries; without the feeds that are not live."""
    query = {"_id": {"$in": list(set(owner_ids))}, "live": True, "floor": {"$exists": True}}
    rows = await sources.database["feeds"].find(query, {"floor": 1}, session=session).to_list()
    return {row["_id"]: row["floor"] for row in rows}


async def _find_follows(sources: Sources, pairs: set[Pair], session: Session) -> dict[Pair, Document]:
    if not pairs:
        return {}
    followed: dict[ObjectId, list[ObjectId]] = {}
    for owner_id, author_id in pairs:
        followed.setdefault(owner_id, []).append(author_id)
    either = [{"follower_id": owner_id, "followee_id": {"$in": ids}} for owner_id, ids in followed.items()]
    rows = await sources.database["follows"].find({"$or": either}, session=session).to_list()
    return {(row["follower_id"], row["followee_id"]): row for row in rows}


def _why_wrong(post: Document | None, follow: Document | None) -> str | None:
    follows = follow is not None and follow["state"] == FollowState.FOLLOWING.value
    if follow is not None and not follows and Task.BACKFILL.value in follow.get("outbox", ()):
        return None  # which will remove all of the author's posts
    if post is None:
        return "there is no such post"
    if Task.FAN_OUT.value in post.get("outbox", ()):
        return None
    if post["deleted"] or post["status"] != PostStatus.READY.value:
        return "the post is deleted or not ready"
    return None if follows else "its owner does not follow the author"


async def find_missing(sources: Sources, owner_ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The posts that these owners' feeds lack, of the latest few hundred above their floors.

    Posts whose fan-out is pending are passed over, and authors whose posts are pulled or whose backfill is pending.
    """
    findings = []
    why = "its owner follows the author, and no task will put it into the feed"
    for owner_id, floor in (await _find_floors(sources, owner_ids, session)).items():
        posts = await _find_posts(sources, owner_id, floor, session)
        keys = [{"o": owner_id, "p": post["_id"]} for post in posts]
        entries = sources.database["feed_entries"].find({"_id": {"$in": keys}}, {"_id": 1}, session=session)
        present = {entry["_id"]["p"] for entry in await entries.to_list()}
        for post in posts:
            if post["_id"] not in present:
                entry_id = f"{owner_id}/{post['_id']}"
                findings.append(Finding(kind=MISSING, id=entry_id, expected=str(post["author_id"]), why=why))
    return findings


async def _find_posts(sources: Sources, owner_id: ObjectId, floor: ObjectId, session: Session) -> list[Document]:
    pushed = {
        "follower_id": owner_id,
        "state": FollowState.FOLLOWING.value,
        "outbox": {"$ne": Task.BACKFILL.value},
        "pulled": {"$ne": True},
    }
    follows = await sources.database["follows"].find(pushed, {"followee_id": 1}, session=session).to_list()
    authors = [follow["followee_id"] for follow in follows]
    return await find_latest_posts(sources, authors, RECENT, session, {"_id": {"$gt": floor}})


async def find_latest_posts(
    sources: Sources, author_ids: Sequence[ObjectId], limit: int, session: Session, query: Document
) -> list[Document]:
    """The ids and authors of at least the `limit` latest of these authors' posts, without those with a fan-out pending.

    The order is unspecified.
    """
    posts: list[Document] = []
    for start in range(0, len(author_ids), MAX_MERGED_AUTHORS):
        shown: Document = {
            "author_id": {"$in": author_ids[start : start + MAX_MERGED_AUTHORS]},
            "status": PostStatus.READY.value,
            "deleted": False,
            "outbox": {"$ne": Task.FAN_OUT.value},
            **query,
        }
        latest = sources.database["posts"].find(
            shown, {"author_id": 1}, sort=[("_id", -1)], limit=limit, session=session, hint=SHOWN_POSTS
        )
        posts += await latest.to_list()
    return posts


async def _backfill(sources: Sources, finding: Finding) -> None:
    owner_id, _ = _owner_and_post(finding)
    await sources.follows.restart_backfill(owner_id, [ObjectId(finding.expected)], clock.now())


async def _remove(sources: Sources, finding: Finding) -> None:
    """Removes the entry, and makes the backfill pending: by now the owner may follow the author again."""
    (owner_id, post_id), author_id = _owner_and_post(finding), ObjectId(finding.found)
    await sources.feed_entries.remove_posts(Delivery(post_id, author_id, [owner_id]))
    await sources.follows.restart_backfill(owner_id, [author_id], clock.now())


def _owner_and_post(finding: Finding) -> Pair:
    owner_id, post_id = finding.id.split("/")
    return ObjectId(owner_id), ObjectId(post_id)


WRONG_ENTRIES = Check(collection="feed_entries", find=from_snapshot(_find_wrong), repairs={WRONG: _remove})
MISSING_ENTRIES = Check(collection="feeds", find=from_snapshot(find_missing), repairs={MISSING: _backfill}, limit=FEEDS)
