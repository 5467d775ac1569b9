"""Null, errors, and their paths."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLError

from tests.engine.running import both, both_later, errors_of, schema_of

SDL = """
type Thing {
  id: ID! name: String strict: String! child: Thing must: Thing! list: [Thing] items: [Thing!] all: [Thing!]!
  grid: [[Int!]] words: [String!]! cells: [[Thing!]!] }
type Query { thing: Thing must: Thing! list: [Thing!]! maybe: [Thing] n: Int strict: Int! }
"""
NULL = "Cannot return null for non-nullable field {}."


def fail(message: str) -> Any:
    def raises(info: object) -> None:
        raise ValueError(message)

    return raises


def later(value: object, wait: int = 1) -> Any:
    async def wait_for_it() -> object:
        for _ in range(wait):
            await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value

    return lambda info: wait_for_it()


SCHEMA = schema_of(SDL)


async def test_two_non_null_siblings_that_fail_null_their_parent_once() -> None:
    """zalando-incubator/graphql-jit#208"""
    source = "{ thing { child { id strict } name } n }"
    answer = both(SCHEMA, source, {"n": 1, "thing": {"name": "x", "child": {"id": fail("a"), "strict": fail("b")}}})
    assert answer.data == {"thing": {"child": None, "name": "x"}, "n": 1}
    assert errors_of(answer) == [("a", ["thing", "child", "id"])]
    for waits in ((1, 1), (3, 1)):
        child = {"id": later(ValueError("a"), waits[0]), "strict": later(ValueError("b"), waits[1])}
        answer = await both_later(SCHEMA, source, {"n": 1, "thing": {"name": "x", "child": child}})
        assert answer.data == {"thing": {"child": None, "name": "x"}, "n": 1}
        assert len(answer.problems) == 1


def test_a_null_in_a_non_null_root_field_nulls_the_data() -> None:
    """graphql-hive/router#1154"""
    answer = both(SCHEMA, "{ n strict }", {"n": 1, "strict": None})
    assert answer.data is None
    assert errors_of(answer) == [(NULL.format("Query.strict"), ["strict"])]


def test_a_null_item_of_a_non_null_list_of_non_null_items_nulls_the_data() -> None:
    """99designs/gqlgen#1681; absinthe-graphql/absinthe#1071; rmosolgo/graphql-ruby#1558"""
    answer = both(SCHEMA, "{ list { id } }", {"list": [{"id": 1}, None]})
    assert answer.data is None
    assert errors_of(answer) == [(NULL.format("Query.list"), ["list", 1])]


def test_nested_lists_keep_their_levels_and_errors_their_deepest_path() -> None:
    """grafbase/grafbase#665"""
    root = {"thing": {"grid": [[1, 2], None, [3, "x"], [], [None]]}}
    answer = both(SCHEMA, "{ thing { g: grid } }", root)
    assert answer.data == {"thing": {"g": [[1, 2], None, None, [], None]}}
    assert [path for _, path in errors_of(answer)] == [["thing", "g", 2, 1], ["thing", "g", 4, 0]]


def test_a_path_keeps_aliases_and_indices_beneath_what_is_nulled() -> None:
    """aPureBase/KGraphQL#452"""
    root = {"maybe": [{"items": [{"id": 1}, {"id": fail("broken")}]}]}
    answer = both(SCHEMA, "{ m: maybe { i: items { key: id } } }", root)
    assert answer.data == {"m": [{"i": None}]}
    assert errors_of(answer) == [("broken", ["m", 0, "i", 1, "key"])]


@pytest.mark.parametrize(
    "source",
    [
        "{ thing { child { id strict } name } }",
        "{ thing { ...F name } } fragment F on Thing { child { ... { id } ...G } } fragment G on Thing { strict }",
        "{ ... { thing { child { id } } } thing { child { strict } ... on Thing { name } } }",
    ],
)
def test_bubbling_does_not_depend_on_fragments(source: str) -> None:
    """graphql-rust/juniper#1287"""
    answer = both(SCHEMA, source, {"thing": {"name": "x", "child": {"id": 1, "strict": None}}})
    assert answer.data == {"thing": {"child": None, "name": "x"}}


def test_no_marker_of_the_engine_reaches_the_data() -> None:
    """rmosolgo/graphql-ruby#596, #433"""
    root = {"maybe": [{"id": None}, {"id": 1, "all": [{"id": 1}, {"id": None}]}, ValueError("x"), {"id": 2, "all": []}]}
    answer = both(SCHEMA, "{ maybe { id all { id } } }", root)
    assert answer.data == {"maybe": [None, None, None, {"id": "2", "all": []}]}


def test_nothing_beneath_a_null_item_is_resolved() -> None:
    """async-graphql/async-graphql#1577"""
    called = []
    schema = schema_of(SDL, Thing_name=lambda source, info: called.append(source))
    answer = both(schema, "{ maybe { name } thing { name } }", {"maybe": [None, ValueError("x")], "thing": None})
    assert answer.data == {"maybe": [None, None], "thing": None}
    assert called == []


async def test_errors_after_the_answer_change_nothing() -> None:
    """graphql/graphql-spec#1184"""
    child = {"id": fail("at once"), "name": later(ValueError("late"), 6), "items": later([{"id": None}], 4)}
    root = {
        "thing": {"child": {"name": later(ValueError("late"), 6), "must": {**child}, "items": later([{"id": 1}], 8)}}
    }
    answer = await both_later(SCHEMA, "{ thing { child { name must { name items { id } id } items { id } } } }", root)
    assert answer.data == {"thing": {"child": None}}
    assert errors_of(answer) == [("at once", ["thing", "child", "must", "id"])]


def test_a_bubbling_error_stops_the_fields_after_it() -> None:
    called: list[str] = []
    schema = schema_of(SDL, Thing_name=lambda source, info: called.append("name"))
    both(schema, "{ thing { id name } }", {"thing": {"id": None}})
    assert called == []


def test_errors_are_in_the_order_in_which_they_happen() -> None:
    root = {
        "thing": {"name": fail("1"), "child": {"name": fail("2"), "strict": fail("3")}, "grid": [[], fail]},
        "n": fail("5"),
    }
    answer = both(SCHEMA, "{ thing { name child { name strict } grid } n }", root)
    assert [message[:1] for message, _ in errors_of(answer)] == ["1", "2", "3", "E", "5"]


class Coded(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.extensions = {"code": "CODED"}


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        GraphQLError("own", extensions={"code": "X"}),
        GraphQLError("elsewhere", path=["somewhere", 1]),
        Coded("coded"),
        KeyError("key"),
        StopIteration("stop"),
        RecursionError("deep"),
        ValueError(),
        ExceptionGroup("several", [ValueError("one")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_raised_and_returned_are_errors_with_their_origin(error: Exception) -> None:
    def raises(info: object) -> None:
        raise error

    for root in ({"n": raises}, {"n": error}, SimpleNamespace(n=raises), SimpleNamespace(n=error)):
        answer = both(SCHEMA, "{ n }", root)
        assert answer.data == {"n": None}
        assert len(answer.problems) == 1
    answer = both(SCHEMA, "{ maybe { id } }", {"maybe": [error, {"id": 1}]})
    assert answer.data == {"maybe": [None, {"id": "1"}]}


async def test_exceptions_that_awaitables_and_lists_give_are_errors() -> None:
    async def give(value: object) -> object:
        await asyncio.sleep(0)
        return value

    answer = await both_later(SCHEMA, "{ n }", {"n": lambda info: give(ValueError("given"))})
    assert answer.data == {"n": None}
    answer = await both_later(SCHEMA, "{ thing { child { id } } }", lambda: {"thing": {"child": give(Coded("coded"))}})
    assert answer.data == {"thing": {"child": None}}
    answer = await both_later(
        SCHEMA, "{ maybe { id } }", lambda: {"maybe": give([ValueError("1"), give(ValueError("2")), {"id": 1}])}
    )
    assert answer.data == {"maybe": [None, None, {"id": "1"}]}
    both(SCHEMA, "{ maybe { id } n }", {"maybe": [ValueError("a"), ValueError("b")], "n": ValueError("c")})


@pytest.mark.parametrize("waits", ["", "m", "mm", "mtm", "tmmm", "mmmmm"])
async def test_null_rises_through_a_chain_of_which_any_part_may_be_asynchronous(waits: str) -> None:
    """A chain of five that may not be null, below one that may. A letter waits: t for the top, m for the next below."""
    value: Any = {"id": None}
    for level in range(5):
        value = {"must": later(value) if level < waits.count("m") else value}
    root = {"thing": later(value) if "t" in waits else value, "n": 1}
    answer = await both_later(SCHEMA, "{ thing { must { must { must { must { must { id } } } } } } n }", root)
    assert answer.data == {"thing": None, "n": 1}
    assert errors_of(answer) == [(NULL.format("Thing.id"), ["thing", *["must"] * 5, "id"])]


def test_attributes_that_fail_or_lack() -> None:
    class Source:
        @property
        def name(self) -> str:
            raise ValueError("property")

        @property
        def strict(self) -> str:
            raise AttributeError("hidden")

        def __getattr__(self, name: str) -> object:
            raise AttributeError(name)

    answer = both(SCHEMA, "{ thing { name grid child { id } } }", {"thing": Source()})
    assert answer.data == {"thing": {"name": None, "grid": None, "child": None}}
    assert errors_of(answer) == [("property", ["thing", "name"])]
    answer = both(SCHEMA, "{ thing { strict } }", {"thing": Source()})
    assert errors_of(answer) == [(NULL.format("Thing.strict"), ["thing", "strict"])]


def test_a_list_that_breaks_is_an_error_of_the_field() -> None:
    def items() -> Any:
        yield {"id": 1}
        raise ValueError("breaks")

    answer = both(SCHEMA, "{ maybe { id } n }", lambda: {"maybe": items(), "n": 1})
    assert answer.data == {"maybe": None, "n": 1}
    assert errors_of(answer) == [("breaks", ["maybe"])]
