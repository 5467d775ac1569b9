"""What is selected: fragments, aliases, conditions, merged fields."""

import itertools
from types import SimpleNamespace
from typing import cast

import pytest
from graphql import ExecutionResult, parse

from engine import Unsupported, compile_operation
from tests.engine.running import both, compiled, schema_of

SCHEMA = schema_of("""
interface Node { id: ID other: Node }
interface Named implements Node { id: ID other: Node name: String }
type User implements Node & Named { id: ID other: Node name: String friend: User post: Post age: Int }
type Post implements Node { id: ID other: Node title: String author: User tags: [String] }
union Item = User | Post
type Query { a: Int b: Int user: User node: Node item: Item items: [Item] }
""")
USER = {"__typename": "User", "id": "u", "name": "Ann", "age": 3}
POST = {"__typename": "Post", "id": "p", "title": "T", "author": USER, "tags": ["x"]}
ROOT = {
    "a": 1,
    "b": 2,
    "user": {**USER, "friend": {**USER, "id": "f", "post": POST}, "post": POST, "other": POST},
    "node": USER,
    "item": POST,
    "items": [USER, POST, USER],
}
BOOLEANS = (True, False)
PAIRS = tuple(itertools.product(BOOLEANS, BOOLEANS))


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_fragment_spread_twice_under_conditions_is_decided_at_each_place(first: bool, second: bool) -> None:
    """zalando-incubator/graphql-jit#166"""
    answer = both(
        SCHEMA,
        "query ($first: Boolean!, $second: Boolean!) { user { ...F @include(if: $first) friend { ...F "
        "@skip(if: $second) } } }"
        " fragment F on User { id age @skip(if: $first) name @include(if: $second) }",
        ROOT,
        {"first": first, "second": second},
    )
    assert ("id" in answer.data["user"]) is first
    assert ("id" in answer.data["user"]["friend"]) is not second


def test_no_name_of_a_field_or_an_alias_is_one_of_generated_code() -> None:
    names = [f"{letter}{number}" for letter in "acdefkpqrvwxCEFGIKNOPRSTY" for number in range(8)]
    names += ["v", "p", "k", "S", "d", "g", "q", "r", "x", "e", "type", "len", "class", "None", "Bubble", "Info"]
    fields = " ".join(f"{name}: Int" for name in names)
    schema = schema_of(f"type Query {{ one: One many: [One!] n: Int }} type One {{ {fields} }}")
    for first in range(0, len(names), 12):
        chosen = names[first : first + 12]
        values = {name: number for number, name in enumerate(chosen)}
        for one in (values, SimpleNamespace(**values)):
            for aliased in ("", ": a0"):
                selected = " ".join(name + aliased for name in chosen)
                root = {"one": one, "many": [one, one], "n": 1}
                answer = both(schema, f"{{ one {{ {selected} }} many {{ {selected} }} q0: n S: n }}", root)
                assert list(answer.data["one"]) == chosen


def test_many_repeated_conditions_do_not_grow() -> None:
    """zalando-incubator/graphql-jit#117, #120: each level spreads the next one twice, under the same conditions."""
    fragments = [
        f"fragment F{n} on User {{ id @include(if: $x) ...F{n + 1} @include(if: $x) ...F{n + 1} @include(if: $x) }}"
        for n in range(40)
    ]
    source = (
        "query ($x: Boolean!) { user { ...F0 ...F0 @skip(if: $x) } } "
        + " ".join(fragments)
        + " fragment F40 on User { name @skip(if: $x) age }"
    )
    assert both(SCHEMA, source, ROOT, {"x": True}).data == {"user": {"id": "u", "age": 3}}
    assert both(SCHEMA, source, ROOT, {"x": False}).data == {"user": {}}


@pytest.mark.parametrize("variables", [{}, {"x": True}, {"x": False}])
def test_a_condition_uses_its_variables_default(variables: dict[str, bool]) -> None:
    """zalando-incubator/graphql-jit#193"""
    for default in ("true", "false"):
        source = f"query ($x: Boolean! = {default}) {{ a @include(if: $x) b @skip(if: $x) }}"
        shown = variables.get("x", default == "true")
        assert both(SCHEMA, source, ROOT, variables).data == ({"a": 1} if shown else {"b": 2})


@pytest.mark.parametrize("shown", BOOLEANS)
def test_a_condition_on_an_inline_fragment_counts(shown: bool) -> None:
    """graphql-hive/router#248"""
    source = (
        "query ($x: Boolean!) { ... @include(if: $x) { a ... @skip(if: false) { b } } node { ... on "
        "User @skip(if: $x) { name } } }"
    )
    expected = {"a": 1, "b": 2, "node": {}} if shown else {"node": {"name": "Ann"}}
    assert both(SCHEMA, source, ROOT, {"x": shown}).data == expected


@pytest.mark.parametrize(("skip", "include"), PAIRS)
def test_skip_and_include_together_show_only_what_both_show(skip: bool, include: bool) -> None:
    answer = both(SCHEMA, f"{{ a @include(if: {str(include).lower()}) @skip(if: {str(skip).lower()}) b }}", ROOT)
    assert answer.data == ({"a": 1, "b": 2} if include and not skip else {"b": 2})


def test_types_that_share_a_response_key_keep_their_own_fields() -> None:
    """graphql-hive/router#1166, #1168"""
    source = (
        """{ items { ... on User { it: friend { id } x: name } ... on Post { it: author { age name } x: title } } }"""
    )
    user = {"it": None, "x": "Ann"}
    assert both(SCHEMA, source, ROOT).data == {"items": [user, {"it": {"age": 3, "name": "Ann"}, "x": "T"}, user]}


def test_nested_inline_fragments_are_one_selection() -> None:
    """zalando-incubator/graphql-jit#119; graphql-hive/router#221"""
    source = (
        "{ node { ... on Node { ... on Named { ... on User { name ... { age } friend { id } } } } } "
        "item { ... on User { id } } }"
    )
    assert both(SCHEMA, source, ROOT).data == {"node": {"name": "Ann", "age": 3, "friend": None}, "item": {}}


def test_aliases_name_every_answer() -> None:
    """99designs/gqlgen#1271; graphql-java/graphql-java#3449"""
    source = (
        "{ x: a y: a a: b t: __typename u: user { t: __typename i: id id: name f: friend { p: post { "
        "__typename z: title } } } }"
    )
    assert both(SCHEMA, source, ROOT).data == {
        "x": 1,
        "y": 1,
        "a": 2,
        "t": "Query",
        "u": {"t": "User", "i": "u", "id": "Ann", "f": {"p": {"__typename": "Post", "z": "T"}}},
    }


def test_fields_of_fragments_merge_into_the_field_they_repeat() -> None:
    """neo4j-graphql/neo4j-graphql-js#180"""
    source = (
        "{ user { id ...F friend { name } } ...G }"
        " fragment F on User { friend { id post { id } } name } fragment G on Query { user { friend { post { "
        "title } } age } b }"
    )
    answer = both(SCHEMA, source, ROOT)
    assert answer.data["user"]["friend"] == {"id": "f", "post": {"id": "p", "title": "T"}, "name": "Ann"}
    assert list(answer.data["user"]) == ["id", "friend", "name", "age"]


def test_the_order_is_that_of_the_first_appearance() -> None:
    answer = both(SCHEMA, "{ b ...F a b } fragment F on Query { user { age } b c: b @skip(if: true) }", ROOT)
    assert list(answer.data) == ["b", "user", "a"]


def test_a_fragment_on_a_type_that_the_object_is_not_adds_nothing() -> None:
    answer = both(
        SCHEMA, "{ item { ...N ...U __typename } } fragment N on Named { id } fragment U on User { name }", ROOT
    )
    assert answer.data == {"item": {"__typename": "Post"}}


def test_the_named_operation_runs() -> None:
    source = "query A { a } query B { b user { ...F } } fragment F on User { id }"
    assert both(SCHEMA, source, ROOT, name="A").data == {"a": 1}
    assert both(SCHEMA, source, ROOT, name="B").data == {"b": 2, "user": {"id": "u"}}


def test_everything_may_be_left_out() -> None:
    assert both(SCHEMA, "{ a @skip(if: true) ... @include(if: false) { b } }", ROOT).data == {}


def test_arguments_of_the_first_of_merged_fields_count_and_all_are_located() -> None:
    def f(source: object, info: object, n: int = 0) -> None:
        raise ValueError(f"n is {n}")

    schema = schema_of("type Query { f(n: Int): Int }", Query_f=f)
    answer = both(schema, "{ f(n: 2) ... { f(n: 2) } }")
    assert answer.problems[0].locations == ((1, 3), (1, 17))


def test_variants_together_are_bounded() -> None:
    schema = schema_of("type Query { a: Int b: Int }", Query_a=lambda *_: 1, Query_b=lambda *_: 2)
    document = parse("query ($x: Boolean!, $y: Boolean!) { a @include(if: $x) b @include(if: $y) }")
    operation = compile_operation(schema, document, max_fields=2)
    answers = [operation.execute(None, None, {"x": x, "y": y}) for x in (True, False) for y in (True, False)]
    assert [cast("ExecutionResult", each).data for each in answers] == [{"a": 1, "b": 2}, {"a": 1}, {"b": 2}, {}]
    assert operation.fields == 2
    assert operation.fallbacks == 3


def test_an_operation_that_is_too_deep_or_too_large_is_left_to_graphql_core() -> None:
    """zalando-incubator/graphql-jit#279: very large queries must not take very long."""
    schema = schema_of("type Query { query: Query name: String }")
    deep = "{ query " * 99 + "{ name }" + " }" * 99
    assert compiled(schema, deep)({}, None, None) == ExecutionResult({"query": None}, None)
    with pytest.raises(Unsupported):
        compile_operation(schema, parse(f"{{ query {deep} }}"))
    many = " ".join(f"a{number}: name" for number in range(2_001))
    with pytest.raises(Unsupported):
        compile_operation(schema, parse(f"{{ {many} }}"))
    compile_operation(schema, parse(f"{{ {many} }}"), max_fields=2_001)
