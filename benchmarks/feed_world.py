"""A network of any size: users, posts, followers by Zipf's law, and viewers whose pages have all that posts have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Any, Self

from bson import MaxKey, MinKey, ObjectId

from benchmarks.world import insert, post, users
from datasources.sources import Sources
from domain.limits import PAGE_SIZE_DEFAULT, PREVIEW_COMMENTS
from domain.paging import PageRequest
from workers.tending import tend
from workers.work import Tools

POSTS_EACH = 2
FOLLOWED_EACH = 5  # by each of the crowd
FOLLOWINGS = (10, 100, 1_000, 5_000)
LIKED = 0.3  # of the posts, by each viewer
PAGES_DOWN = 11  # so many pages have posts with images, comments and authors with avatars
ROWS = 20_000  # made at a time

Row = dict[str, Any]


@dataclass
class FeedWorld:
    """So many users, who post and follow each other, and viewers by how many of them they follow."""

    sources: Sources
    size: int
    viewers: dict[int, ObjectId] = field(default_factory=dict)

    @classmethod
    async def made(cls, sources: Sources, size: int, seed: int) -> Self:
        """Inserts everything as the mutations and workers leave it, and has the workers rebuild the viewers' feeds."""
        world, random = cls(sources, size), Random(seed)
        crowd = [ObjectId() for _ in range(size)]
        await _inserted(sources, "users", (_user(one) for one in crowd))
        writers = crowd * POSTS_EACH
        random.shuffle(writers)
        await _inserted(sources, "posts", (_slim(one) for one in writers))
        await _inserted(sources, "follows", _zipf(crowd, random))
        commenters = await users(sources, 50)
        for following in FOLLOWINGS:
            if following <= size:
                (viewer,) = await users(sources, 1)
                followed = random.sample(crowd, following)
                await insert(sources, "follows", [_follow(viewer, one) for one in followed])
                await world.keep(viewer)
                await world._dress(viewer, commenters, random)
                world.viewers[following] = viewer
        return world

    async def keep(self, viewer: ObjectId) -> None:
        """Has a viewer look at their feed, and the worker rebuild it if it has no floor."""
        await self.sources.feeds.home(viewer, PageRequest(limit=1))
        state = await self.sources.feed_states.of(viewer)
        if state is not None and state.floor is None:
            await self.sources.feed_states.renew([viewer], datetime.now(UTC))
            await tend(Tools(sources=self.sources), str(viewer))

    async def forget(self, viewer: ObjectId) -> None:
        """Leaves a feed as it is before it is rebuilt: live, without a floor, to be pulled."""
        await self.sources.database["feeds"].update_one({"_id": viewer}, {"$unset": {"floor": ""}})

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

    async def _dress(self, viewer: ObjectId, commenters: Sequence[ObjectId], random: Random) -> None:
        """Gives the posts on a viewer's pages images and comments, and some of them the viewer's like."""
        database = self.sources.database
        page = await self.sources.feeds.read(viewer, PageRequest(limit=PAGE_SIZE_DEFAULT * PAGES_DOWN))
        for _, post_id in page.items:
            comments = [_comment(post_id, random.choice(commenters)) for _ in range(PREVIEW_COMMENTS)]
            whole = {name: value for name, value in post(viewer).items() if name not in ("_id", "author_id")}
            previews = {"preview_comment_ids": [one["_id"] for one in comments], "comment_count": len(comments)}
            done = await database["posts"].update_one({"_id": post_id, "images": []}, {"$set": {**whole, **previews}})
            if done.modified_count:
                await database["comments"].insert_many(comments)
            if random.random() < LIKED:
                like = {"target_id": post_id, "user_id": viewer, "liked": True, "counted": True, "version": 1}
                await database["post_likes"].insert_one(like)


async def _inserted(sources: Sources, collection: str, rows: Iterator[Row]) -> None:
    while some := list(islice(rows, ROWS)):
        await insert(sources, collection, some)


def _zipf(crowd: Sequence[ObjectId], random: Random) -> Iterator[Row]:
    """Who follows whom: the n-th of the crowd has a share of followers that goes as 1/n."""
    for follower in crowd:
        ranks = {int(len(crowd) ** random.random()) - 1 for _ in range(FOLLOWED_EACH)}
        for rank in ranks:
            yield _follow(follower, crowd[rank])


def _user(user_id: ObjectId) -> Row:
    name = f"user_{user_id}"
    return {
        "_id": user_id,
        "username": name,
        "username_key": name,
        "email_key": f"{name}@example.com",
        "display_name": "Somebody",
        "created_at": datetime.now(UTC),
        "state": "ACTIVE",
    }


def _slim(author_id: ObjectId) -> Row:
    """A ready post that owes nothing and shows nothing."""
    return {**post(author_id), "images": [], "location": None, "caption": ""}


def _follow(follower: ObjectId, followee: ObjectId) -> Row:
    return {"follower_id": follower, "followee_id": followee, "state": "FOLLOWING", "version": 1}


def _comment(post_id: ObjectId, author_id: ObjectId) -> Row:
    return {
        "_id": ObjectId(),
        "post_id": post_id,
        "author_id": author_id,
        "parent_id": None,
        "text": "What a light! Where exactly did you stand for this one?",
        "mention_ids": [],
        "created_at": datetime.now(UTC),
        "deleted": False,
        "counted": True,
        "version": 0,
    }
