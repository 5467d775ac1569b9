"""Posts to like, users who like them, and the ways to do it."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from bson import ObjectId

from benchmarks.lib.documents import posts
from benchmarks.lib.servers import Api, session_of
from datasources.jobs.outbox import pending_fields
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.ids import to_global_id
from domain.jobs import Task

POSTS = 2_000
LIKE_POST = "mutation($id: ID!) { likePost(input: {postId: $id}) { userErrors { code } post { likeCount } } }"

ADD_COMMENT = """mutation($id: ID!) {
  addComment(input: {postId: $id, text: "What a light! Where is this?"}) {
    userErrors { code } post { commentCount } commentEdge { node { text } }
  }
}"""
WORDS = "What a light! Where is this?"

Act = Callable[[], Awaitable[object]]

BARE = "insert_one, majority, no index"


class LikeWorld:
    """Posts to like, users who like them, and the ways to do it; every like is a new one."""

    def __init__(
        self, sources: Sources, authors: Sequence[ObjectId], likers: Sequence[ObjectId], random: Random
    ) -> None:
        self.sources = sources
        self.likers = likers
        self._authors = authors
        self._random = random
        self._numbers = itertools.count()
        self._api = Api(sources)
        self._many: list[ObjectId] = []

    async def prepare(self) -> None:
        """Makes the posts."""
        self._many = await self.create_posts(POSTS)

    async def like(self, post_id: ObjectId) -> Document:
        """Likes by the store: the fact and its job. Returns a query for the fact."""
        user_id = self._next_liker()
        await self.sources.post_likes.like(post_id, user_id, clock.now())
        return {"target_id": post_id, "user_id": user_id}

    async def comment(self, post_id: ObjectId) -> Document:
        """Comments by the store: the fact and its job. Returns a query for the fact."""
        comment = await self.sources.commenting.add(
            post_id, self._next_liker(), WORDS, clock.now(), new_id=clock.new_id()
        )
        return {"_id": comment.id}

    def ways(self) -> dict[str, Act]:
        """The ways, by name."""
        bare = self.sources.database["bare_likes"]
        hot, other = self._many[:2]

        async def insert() -> object:
            return await bare.insert_one({"target_id": hot, "user_id": self._next_liker(), "liked": True})

        def another() -> ObjectId:
            return self._random.choice(self._many[2:])

        return {
            BARE: insert,
            "LikeStore.like, one post": lambda: self.like(hot),
            "LikeStore.like, random posts": lambda: self.like(another()),
            "CommentStore.add, one post": lambda: self.comment(hot),
            "CommentStore.add, random posts": lambda: self.comment(another()),
            "likePost, one post": lambda: self._by_api(LIKE_POST, "likePost", other),
            "likePost, random posts": lambda: self._by_api(LIKE_POST, "likePost", another()),
            "addComment, one post": lambda: self._by_api(ADD_COMMENT, "addComment", other),
            "addComment, random posts": lambda: self._by_api(ADD_COMMENT, "addComment", another()),
        }

    async def insert_pending_likes(self, post_ids: Sequence[ObjectId]) -> None:
        """Likes as they are before any worker has seen them, inserted at once."""
        now = clock.now()
        rows: list[dict[str, Any]] = [
            {
                "target_id": post_id,
                "user_id": user_id,
                "liked": True,
                "version": 1,
                **pending_fields([Task.COUNT, Task.NOTIFY], now),
            }
            for post_id, user_id in zip(post_ids, itertools.cycle(self.likers), strict=False)
        ]
        await self.sources.database["post_likes"].insert_many(rows)

    async def create_posts(self, count: int, authors: int | None = None) -> list[ObjectId]:
        """Posts that nobody likes yet, by this many authors, or by all of them, in turn."""
        return await posts(self.sources, list(itertools.islice(itertools.cycle(self._authors[:authors]), count)))

    def _next_liker(self) -> ObjectId:
        return self.likers[next(self._numbers) % len(self.likers)]

    async def _by_api(self, mutation: str, name: str, post_id: ObjectId) -> None:
        data = await self._api.run(mutation, session_of(self._next_liker()), id=to_global_id("Post", post_id))
        if data[name]["userErrors"]:
            raise RuntimeError(str(data))
