"""A network of any size, by Zipf's law, and viewers whose pages have all that posts have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from typing import Any, Self

from bson import MaxKey, MinKey, ObjectId
from pymongo import UpdateOne

from benchmarks.lib.documents import follow, insert, post, users
from benchmarks.lib.network_documents import Network, insert_network
from datasources.mongo import clock
from datasources.sources import Sources
from domain.limits import PAGE_SIZE_DEFAULT, PREVIEW_COMMENTS
from domain.paging import PageRequest
from workers.handlers.refresh_feed import refresh_feed
from workers.runtime.handler import Tools

FOLLOWINGS = (10, 100, 1_000, 5_000)
VIEWERS_EACH = 3  # who take turns, so that not only one viewer's documents are at hand
LIKED = 0.3  # of the posts, by each viewer
PAGES_DOWN = 11  # so many pages have posts with images, comments and authors with avatars

Row = dict[str, Any]


@dataclass
class FeedNetwork:
    """Users who post and follow each other, and viewers by the number of users whom they follow.

    The feeds of `viewers` are kept; nothing is kept of those of `newcomers`, who have never read theirs.
    """

    sources: Sources
    size: int
    viewers: dict[int, list[ObjectId]] = field(default_factory=dict)
    newcomers: dict[int, list[ObjectId]] = field(default_factory=dict)

    @classmethod
    async def create(cls, sources: Sources, size: int, seed: int) -> Self:
        """Fills an empty database as mutations and workers would, and rebuilds the viewers' feeds."""
        feeds, random = cls(sources, size), Random(seed)
        network = Network(size, seed, sources.push_pull.limit)
        await insert_network(sources, network)
        commenters = await users(sources, 50)
        for following in FOLLOWINGS:
            if following <= size // 2:
                people = await users(sources, 2 * VIEWERS_EACH)
                for viewer in people:
                    await feeds._follow(viewer, network.ranks(following, random), network)
                    await feeds._add_content(viewer, commenters, random)
                feeds.viewers[following], feeds.newcomers[following] = people[:VIEWERS_EACH], people[VIEWERS_EACH:]
                for viewer in feeds.viewers[following]:
                    await feeds.rebuild_feed(viewer)
        return feeds

    async def rebuild_feed(self, viewer: ObjectId) -> None:
        """Reads a viewer's feed, and rebuilds it as the worker does if it has no floor."""
        await self.sources.home_feed.page(viewer, PageRequest(limit=1))
        state = await self.sources.feed_states.find(viewer)
        if state is not None and state.floor is None:
            await self.sources.feed_states.reset([viewer], clock.now())
            await refresh_feed(Tools(sources=self.sources), str(viewer))

    async def bare_page(self, viewer: ObjectId) -> list[list[Row]]:
        """The first page's documents by the five reads it takes at least, as dictionaries, with no rules applied."""
        database = self.sources.database
        owned = {"$gt": {"o": viewer, "p": MinKey()}, "$lt": {"o": viewer, "p": MaxKey()}}
        entries = (
            await database["feed_entries"].find({"_id": owned}, sort=[("_id", -1)], limit=PAGE_SIZE_DEFAULT).to_list()
        )
        post_ids = [entry["_id"]["p"] for entry in entries]
        posts = await database["posts"].find({"_id": {"$in": post_ids}}).to_list()
        comment_ids = [comment_id for row in posts for comment_id in row["preview_comment_ids"]]
        comments = await database["comments"].find({"_id": {"$in": comment_ids}}).to_list()
        people = {row["author_id"] for row in (*posts, *comments)}
        authors = await database["users"].find({"_id": {"$in": list(people)}}).to_list()
        likes = await database["post_likes"].find({"user_id": viewer, "target_id": {"$in": post_ids}}).to_list()
        return [entries, posts, comments, authors, likes]

    async def _follow(self, viewer: ObjectId, ranks: Iterable[int], network: Network) -> None:
        rows = [
            follow(viewer, ObjectId(network.user(rank)), slot, is_pulled=network.is_pulled(rank))
            for slot, rank in enumerate(ranks)
        ]
        await insert(self.sources, "follows", rows)

    async def _add_content(self, viewer: ObjectId, commenters: Sequence[ObjectId], random: Random) -> None:
        """Gives the posts on a viewer's pages images, comments and the viewer's like of some, their authors avatars."""
        database = self.sources.database
        page = await self.sources.home_feed.peek(viewer, PageRequest(limit=PAGE_SIZE_DEFAULT * PAGES_DOWN))
        post_ids = [post_id for _, post_id in page.items]
        bare = await database["posts"].find({"_id": {"$in": post_ids}, "images": []}, {"author_id": 1}).to_list()
        comments = {row["_id"]: _comments(row["_id"], commenters, random) for row in bare}
        if bare:
            await database["posts"].bulk_write(
                [_with_content(row, comments[row["_id"]]) for row in bare], ordered=False
            )
            authors = {row["author_id"]: {"$set": {"avatar": post(viewer)["images"][0]}} for row in bare}
            await database["users"].bulk_write(
                [UpdateOne({"_id": author_id}, update) for author_id, update in authors.items()]
            )
        await insert(self.sources, "comments", list(chain.from_iterable(comments.values())))
        liked = [post_id for post_id in post_ids if random.random() < LIKED]
        stands = {"user_id": viewer, "liked": True, "counted": True, "version": 1}
        await insert(self.sources, "post_likes", [{"target_id": post_id, **stands} for post_id in liked])


def _with_content(row: Row, comments: Sequence[Row]) -> UpdateOne:
    whole = post(row["author_id"])
    shown = {name: whole[name] for name in ("caption", "hashtags", "location", "upload_ids", "images")}
    previews = {"preview_comment_ids": [comment["_id"] for comment in comments], "comment_count": len(comments)}
    return UpdateOne({"_id": row["_id"]}, {"$set": {**shown, **previews}})


def _comments(post_id: ObjectId, commenters: Sequence[ObjectId], random: Random) -> list[Row]:
    return [_comment(post_id, random.choice(commenters)) for _ in range(PREVIEW_COMMENTS)]


def _comment(post_id: ObjectId, author_id: ObjectId) -> Row:
    return {
        "_id": ObjectId(),
        "post_id": post_id,
        "author_id": author_id,
        "parent_id": None,
        "text": "What a light! Where exactly did you stand for this one?",
        "mention_ids": [],
        "created_at": clock.now(),
        "deleted": False,
        "counted": True,
        "version": 0,
    }
