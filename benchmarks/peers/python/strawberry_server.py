"""Strawberry as its documentation shows it: types made from documents, async resolvers, a dataloader.

PEER=strawberry is that alone. PEER=strawberry-cached adds what its documentation offers for speed: ParserCache and
ValidationCache.
"""

import os
from collections.abc import Sequence
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache

from benchmarks.peers.python import feed_data
from benchmarks.peers.python.feed_data import Row


@strawberry.type
class User:
    id: strawberry.ID
    username: str
    avatar_url: str | None


@strawberry.type
class Comment:
    id: strawberry.ID
    text: str
    author_id: strawberry.Private[str]

    @strawberry.field
    async def author(self, info: strawberry.Info[Any, Any]) -> User:
        return await author_of(info, self.author_id)


@strawberry.type
class Media:
    url: str
    width: int
    height: int


@strawberry.type
class Post:
    id: strawberry.ID
    caption: str | None
    created_at: str
    like_count: int
    comment_count: int
    viewer_has_liked: bool
    preview_comments: list[Comment]
    media: list[Media]
    author_id: strawberry.Private[str]

    @strawberry.field
    async def author(self, info: strawberry.Info[Any, Any]) -> User:
        return await author_of(info, self.author_id)


@strawberry.type
class PageInfo:
    end_cursor: str | None
    has_next_page: bool


@strawberry.type
class PostEdge:
    cursor: str
    node: Post


@strawberry.type
class PostConnection:
    edges: list[PostEdge]
    page_info: PageInfo


@strawberry.type
class Query:
    @strawberry.field
    async def feed(self, first: int = 20, after: str | None = None) -> PostConnection:
        found = feed_data.posts_after(feed_data.POSTS, first, after)
        return PostConnection(
            edges=[
                PostEdge(cursor=str(found.start + index), node=post_of(document))
                for index, document in enumerate(found.posts)
            ],
            page_info=PageInfo(end_cursor=found.end_cursor, has_next_page=found.has_next_page),
        )


async def author_of(info: strawberry.Info[Any, Any], user_id: str) -> User:
    users: DataLoader[str, User] = info.context["users"]
    return await users.load(user_id)


def post_of(document: Row) -> Post:
    return Post(
        id=document["id"],
        caption=document["caption"],
        created_at=document["createdAt"],
        like_count=document["likeCount"],
        comment_count=document["commentCount"],
        viewer_has_liked=document["viewerHasLiked"],
        author_id=document["authorId"],
        preview_comments=[
            Comment(id=comment["id"], text=comment["text"], author_id=comment["authorId"])
            for comment in document["previewComments"]
        ],
        media=[Media(url=each["url"], width=each["width"], height=each["height"]) for each in document["media"]],
    )


async def load_users(ids: Sequence[str]) -> list[User]:
    return [
        User(id=strawberry.ID(user["id"]), username=user["username"], avatar_url=user["avatarUrl"])
        for user in await feed_data.load_users(ids)
    ]


class Api(GraphQL[Any, Any]):
    async def get_context(self, request: Any, response: Any) -> Any:
        return {"request": request, "response": response, "users": DataLoader(load_users)}


is_cached = os.environ.get("PEER") == "strawberry-cached"
schema = strawberry.Schema(Query, extensions=[ParserCache, ValidationCache] if is_cached else [])
app = Starlette(routes=[Route("/graphql", Api(schema))])
