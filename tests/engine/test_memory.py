"""What a run leaves behind: nothing that waits for the garbage collector."""

import asyncio
import gc
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from engine import Load
from tests.engine.running import compiled, schema_of

SDL = "type User { name: String! } type Post { author: User size(width: Int!): Int } type Query { posts: [Post] }"
QUERY = "{ posts { author { name } size(width: 3) } }"


class Post:
    author_id = 1

    def size(self, _info: object, width: int) -> int:
        return width


class Users:
    """A loader that is as late as its waits say."""

    async def batch(self, keys: Sequence[int]) -> list[dict[str, str]]:
        await asyncio.sleep(0)
        return [{"name": f"u{key}"} for key in keys]


@pytest.fixture
def execute() -> Callable[..., Any]:
    async def posts(_root: object, _info: object) -> list[Post]:
        await asyncio.sleep(0)
        return [Post(), Post()]

    plans = {"author": Load(lambda context: context, "author_id")}
    schema = schema_of(SDL, Query_posts=posts)
    return compiled(schema, QUERY, plan=lambda _type, name, _field: plans.get(name))


async def test_an_answer_is_freed_without_the_collector(execute: Callable[..., Any]) -> None:
    await execute(None, Users())
    gc.collect()
    gc.disable()
    try:
        result = await execute(None, Users())
        assert result.data == {"posts": [{"author": {"name": "u1"}, "size": 3}] * 2}
        del result
        assert gc.collect() == 0
    finally:
        gc.enable()


async def test_neither_is_what_asks_graphql_core_for_its_part() -> None:
    def posts(_root: object, info: Any) -> list[Post]:
        assert info.path.key == "posts"  # made by graphql-core's executor
        return [Post()]

    execute = compiled(schema_of(SDL, Query_posts=posts), "{ posts { size(width: 3) } }")
    execute()
    gc.collect()
    gc.disable()
    try:
        result = execute()
        assert result.data == {"posts": [{"size": 3}]}
        del result
        assert gc.collect() == 0
    finally:
        gc.enable()
