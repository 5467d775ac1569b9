"""Who follows whom, what they posted and said of it: enough for feeds of every length."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Self

from bson import MaxKey, MinKey, ObjectId

from benchmarks.world import insert, post, users
from datasources.sources import Sources
from domain.limits import PAGE_SIZE_DEFAULT

POSTS_EACH = 10
FOLLOWINGS = (10, 100, 1_000)
LIKED = 0.3  # of the posts, by each viewer

Row = dict[str, Any]


@dataclass
class FeedWorld:
    """Authors with posts, and viewers by how many of them they follow."""

    sources: Sources
    viewers: dict[int, ObjectId] = field(default_factory=dict)

    @classmethod
    async def made(cls, sources: Sources, authors: int, seed: int) -> Self:
        """Inserts everything as the mutations and workers leave it, nothing being owed."""
        world, random = cls(sources), Random(seed)
        author_ids = await users(sources, authors)
        posts = [post(author_id) for author_id in author_ids * POSTS_EACH]
        random.shuffle(author_ids)
        comments = [_comment(one, random.choice(author_ids)) for one in posts for _ in range(2)]
        for number, one in enumerate(posts):
            ours = comments[number * 2 : number * 2 + 2]
            one |= {"preview_comment_ids": [comment["_id"] for comment in reversed(ours)], "comment_count": 2}
        await insert(sources, "posts", posts)
        await insert(sources, "comments", comments)
        for following in FOLLOWINGS:
            (viewer,) = await users(sources, 1)
            await world._follow(viewer, author_ids[:following], posts, random)
            world.viewers[following] = viewer
        return world

    async def _follow(self, viewer: ObjectId, followed: Sequence[ObjectId], posts: list[Row], random: Random) -> None:
        follows = [{"follower_id": viewer, "followee_id": one, "state": "FOLLOWING", "version": 1} for one in followed]
        known = set(followed)
        theirs = [one for one in posts if one["author_id"] in known]
        entries = [{"_id": {"o": viewer, "p": one["_id"]}, "a": one["author_id"]} for one in theirs]
        likes = [
            {"target_id": one["_id"], "user_id": viewer, "liked": True, "counted": True, "version": 1}
            for one in theirs
            if random.random() < LIKED
        ]
        for collection, rows in (("follows", follows), ("feed_entries", entries), ("post_likes", likes)):
            await insert(self.sources, collection, rows)

    async def bare_page(self, viewer: ObjectId) -> list[list[Row]]:
        """The first page's documents by the five reads it takes at least, as dictionaries, with no rules applied."""
        database = self.sources.database
        owned = {"$gt": {"o": viewer, "p": MinKey()}, "$lt": {"o": viewer, "p": MaxKey()}}
        entries = (
            await database["feed_entries"].find({"_id": owned}, sort=[("_id", -1)], limit=PAGE_SIZE_DEFAULT).to_list()
        )
        post_ids = [entry["_id"]["p"] for entry in entries]
        posts = await database["posts"].find({"_id": {"$in": post_ids}}).to_list()
        comment_ids = [one for found in posts for one in found["preview_comment_ids"]]
        comments = await database["comments"].find({"_id": {"$in": comment_ids}}).to_list()
        people = {found["author_id"] for found in (*posts, *comments)}
        authors = await database["users"].find({"_id": {"$in": list(people)}}).to_list()
        likes = await database["post_likes"].find({"user_id": viewer, "target_id": {"$in": post_ids}}).to_list()
        return [entries, posts, comments, authors, likes]


def _comment(below: Row, author_id: ObjectId) -> Row:
    return {
        "_id": ObjectId(),
        "post_id": below["_id"],
        "author_id": author_id,
        "parent_id": None,
        "text": "What a light! Where exactly did you stand for this one?",
        "mention_ids": [],
        "created_at": datetime.now(UTC),
        "deleted": False,
        "counted": True,
        "version": 0,
    }
