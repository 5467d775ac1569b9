"""What happened lately, for explore and trends: bounded reads by indexes, of which nobody waits for any.

They may ask all shards and lag behind: one process of all does it, every few minutes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.indexes import LIKES_OF_TARGET, TOPIC_POSTS
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import BY_ID, find_by_ids
from domain.exploring import Act, RecentPost
from domain.records.follows import FollowState
from domain.records.posts import PostStatus

BATCH = 1_000  # documents of one operation
_SHOWN: Document = {"status": PostStatus.READY.value, "deleted": False}
_POST = dict.fromkeys(
    ("author_id", "created_at", "hashtags", "like_count", "comment_count", "is_sensitive", "status", "deleted"), 1
)
_ACCOUNT = dict.fromkeys(
    ("state", "is_private", "standing", "created_at", "follower_count", "preferences.is_in_search"), 1
)


class RecentActivity:
    """Reads of posts, likes and comments from the newest on."""

    def __init__(self, database: Database) -> None:
        self._posts: Readable = database["posts"]
        self._likes: Readable = database["post_likes"]
        self._comments: Readable = database["comments"]
        self._users: Readable = database["users"]
        self._follows: Readable = database["follows"]
        self._entries: Readable = database["topic_posts"]

    async def posts(self, since: datetime, limit: int) -> tuple[list[RecentPost], bool]:
        """Up to `limit` posts that are shown, of any account, the newest first; and whether it stopped at the limit."""
        rows = await _newest(self._posts, since, limit, _SHOWN, _POST)
        return [post for row in rows if (post := readable(RecentPost, row)) is not None], len(rows) >= limit

    async def posts_by_ids(self, ids: Sequence[ObjectId]) -> list[RecentPost]:
        """Those of these posts that are shown, in no order."""
        rows = await _by_ids(self._posts, ids, _POST)
        shown = [row for row in rows.values() if all(row.get(name) == value for name, value in _SHOWN.items())]
        return [post for row in shown if (post := readable(RecentPost, row)) is not None]

    async def acts(self, since: datetime, likes: int, comments: int) -> list[Act]:
        """Up to so many likes and comments that hold, comments first, each from the newest."""
        said = await _newest(
            self._comments,
            since,
            comments,
            {"deleted": False, "hidden": {"$ne": True}},
            {"post_id": 1, "author_id": 1},
        )
        liked = await _newest(self._likes, since, likes, {"liked": True}, {"target_id": 1, "user_id": 1})
        return [
            *(Act(row["post_id"], row["author_id"], is_comment=True) for row in said),
            *(Act(row["target_id"], row["user_id"]) for row in liked),
        ]

    async def first_likes(self, post_id: ObjectId, limit: int) -> list[Act]:
        """Up to `limit` likes of a post that hold, the oldest; one operation."""
        options: dict[str, Any] = {"sort": [("_id", 1)], "limit": limit, "hint": LIKES_OF_TARGET}
        rows = await self._likes.find({"target_id": post_id, "liked": True}, {"user_id": 1}, **options).to_list()
        return [Act(post_id, row["user_id"]) for row in rows]

    async def accounts(self, ids: Sequence[ObjectId]) -> Mapping[ObjectId, Document]:
        """What decides about accounts, by id: state, privacy, standing, age, followers, preference."""
        return await _by_ids(self._users, ids, _ACCOUNT)

    async def followed_among(self, author_id: ObjectId, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Those of these accounts that an author follows; one operation, none for nobody."""
        if not ids:
            return set()
        query = {"follower_id": author_id, "followee_id": {"$in": list(ids)}, "state": FollowState.FOLLOWING.value}
        rows = await self._follows.find(query, {"_id": 0, "followee_id": 1}).to_list()
        return {row["followee_id"] for row in rows}

    async def uses(self, topic_id: ObjectId, past: timedelta, before: datetime, limit: int) -> tuple[int, timedelta]:
        """How many posts of a time are listed under a topic, and the time; by an index alone.

        With more than `limit` these are the newest, and the time is that in which they came: a second at least.
        """
        ids = {"$gte": ObjectId.from_datetime(before - past), "$lt": ObjectId.from_datetime(before)}
        query = {"topic_id": topic_id, "post_id": ids}
        count = await self._entries.count_documents(query, limit=limit, hint=TOPIC_POSTS)
        if count < limit:
            return count, past
        options: dict[str, Any] = {"sort": [("post_id", -1)], "skip": limit - 1, "hint": TOPIC_POSTS}
        oldest = await self._entries.find_one(query, {"_id": 0, "post_id": 1}, **options)
        came = past if oldest is None else before - oldest["post_id"].generation_time
        return count, max(came, timedelta(seconds=1))


async def _newest(
    collection: Readable, since: datetime, limit: int, query: Document, fields: Document
) -> list[Document]:
    """Up to `limit` documents since a moment, from the newest, by their ids; several operations, each bounded."""
    rows, bounds = list[Document](), {"$gte": ObjectId.from_datetime(since)}
    while len(rows) < limit:
        step = min(BATCH, limit - len(rows))
        options: dict[str, Any] = {"sort": [("_id", -1)], "limit": step, "hint": BY_ID, "batch_size": step + 1}
        found = await collection.find({"_id": bounds, **query}, fields, **options).to_list()
        rows += found
        if len(found) < step:
            break
        bounds = {**bounds, "$lt": found[-1]["_id"]}
    return rows


async def _by_ids(collection: Readable, ids: Sequence[ObjectId], fields: Document) -> dict[ObjectId, Document]:
    found: dict[ObjectId, Document] = {}
    for start in range(0, len(ids), BATCH):
        found |= await find_by_ids(collection, ids[start : start + BATCH], projection=fields)
    return found
