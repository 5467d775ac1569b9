"""Every text and id that a client can send, a megabyte long: refused by its length, before anything reads it."""

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_non_null_type,
)

from domain.errors import BadInput
from domain.ids import expect_id, from_global_id
from domain.paging import decode_cursor
from resolvers.api import schema
from tests.support.factories import World

MEGABYTE = "\u0301" * 1_000_000
TYPES = schema._schema.type_map
MUTATIONS = cast(GraphQLObjectType, TYPES["Mutation"])
EXAMPLES: dict[str, Any] = {"ID": "x", "String": "x", "Int": 1, "Float": 0.5, "Boolean": True, "Upload": None}


def texts_of(kind: GraphQLInputType, *path: str) -> Iterator[tuple[str, ...]]:
    """The paths of the texts within an input."""
    named = get_named_type(kind)
    if isinstance(named, GraphQLInputObjectType):
        for name, member in named.fields.items():
            yield from texts_of(member.type, *path, name)
    elif named.name == "String":
        yield path


def filled(kind: GraphQLInputType, path: tuple[str, ...], value: str) -> Any:
    """The least input of this type that has the value at the path."""
    if isinstance(kind, GraphQLNonNull):
        return filled(kind.of_type, path, value)
    if isinstance(kind, GraphQLList):
        return [filled(kind.of_type, path, value)]
    if isinstance(kind, GraphQLInputObjectType):
        here = path[:1]
        return {
            name: filled(member.type, path[1:], value) if (name,) == here else filled(member.type, (), "")
            for name, member in kind.fields.items()
            if (name,) == here or is_non_null_type(member.type)
        }
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    return value if not path and kind.name == "String" and value else EXAMPLES[kind.name]


CASES = [
    (mutation, path) for mutation, field in MUTATIONS.fields.items() for path in texts_of(field.args["input"].type)
]


@pytest.mark.parametrize(
    ("mutation", "path"), CASES, ids=lambda case: case if isinstance(case, str) else ".".join(case)
)
async def test_a_megabyte_is_refused_before_anything_reads_it(
    world: World, monkeypatch: pytest.MonkeyPatch, mutation: str, path: tuple[str, ...]
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("a text was read")

    monkeypatch.setattr("domain.text.normalize", read)
    kind = MUTATIONS.fields[mutation].args["input"].type
    document = f"mutation ($input: {kind}) {{ {mutation}(input: $input) {{ userErrors {{ code field }} }} }}"
    given = filled(kind, path, MEGABYTE)
    result = await world.execute(document, await world.user(), input=given)
    assert result.errors is None, result.errors
    assert (result.data or {})[mutation]["userErrors"] == [{"code": "INVALID_INPUT", "field": list(path)}]


def test_a_megabyte_is_no_id_and_no_cursor() -> None:
    began = time.thread_time()
    for text in (MEGABYTE, "a" * 1_000_000):
        assert expect_id(text, "Post") is None
        for decode in (from_global_id, decode_cursor):
            with pytest.raises(BadInput):
                decode(text)
    assert time.thread_time() - began < 0.01


async def test_a_megabyte_is_nobodys_handle(world: World) -> None:
    result = await world.execute("query ($name: String!) { user(username: $name) { id } }", None, name=MEGABYTE)
    assert (result.data, result.errors) == ({"user": None}, None)


async def test_a_megabyte_is_no_hashtag(world: World) -> None:
    result = await world.execute("query ($name: String!) { hashtag(name: $name) { id } }", None, name=MEGABYTE)
    assert (result.data, result.errors) == ({"hashtag": None}, None)


async def test_a_megabyte_opens_no_collection(world: World) -> None:
    result = await world.execute("query ($key: String!) { sharedCollection(key: $key) { id } }", None, key=MEGABYTE)
    assert (result.data, result.errors) == ({"sharedCollection": None}, None)


@pytest.mark.parametrize("search", ["search(query: $text) { __typename }", "suggestHandles(prefix: $text) { id }"])
async def test_a_megabyte_is_not_searched_for(world: World, search: str) -> None:
    document = f"query ($text: String!) {{ found: {search} }}"
    result = await world.execute(document, await world.user(), text=MEGABYTE)
    assert [type(error.original_error) for error in result.errors or ()] == [BadInput]


def test_no_other_argument_takes_a_text() -> None:
    taken = {
        f"{name}.{field}({argument})"
        for name, kind in TYPES.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
        for field, definition in kind.fields.items()
        for argument, given in definition.args.items()
        if get_named_type(given.type).name == "String" and argument not in ("after", "before")
    }
    assert taken == {
        "Query.user(username)",
        "Query.hashtag(name)",
        "Query.sharedCollection(key)",
        "Query.search(query)",
        "Query.suggestHandles(prefix)",
    }
