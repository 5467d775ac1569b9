"""Ariadne as its documentation shows it, with a dataloader."""

from typing import Any

from ariadne import ObjectType, QueryType, make_executable_schema
from ariadne.asgi import GraphQL
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.dataloader import DataLoader

from benchmarks.peers.python import feed_data
from benchmarks.peers.python.feed_data import Row

query, post, comment = QueryType(), ObjectType("Post"), ObjectType("Comment")


async def feed(_root: object, _info: object, first: int, after: str | None = None) -> Row:
    return feed_data.page_of_documents(first, after)


async def author(document: Row, info: Any) -> Row:
    users: DataLoader[str, Row] = info.context["users"]
    return await users.load(document["authorId"])


def context_of(request: Any, _data: object = None) -> Row:
    return {"request": request, "users": DataLoader(feed_data.load_users)}


query.set_field("feed", feed)
post.set_field("author", author)
comment.set_field("author", author)
schema = make_executable_schema(feed_data.SDL, query, post, comment)
app = Starlette(routes=[Route("/graphql", GraphQL(schema, context_value=context_of))])
