"""Arguments and variables: what resolvers are given."""

import enum
import math
from typing import Any

import pytest
from graphql import GraphQLDefaultInput, GraphQLResolveInfo, Undefined, execute, parse

from engine import compile_operation
from tests.engine.comparison import Answer, described
from tests.engine.running import both, errors_of, schema_of


class Shade(enum.Enum):
    DARK = "d"


SDL = """
enum Colour { RED DARK }
scalar Any
input Inner { n: Int = 7 list: [Int!] colour: Colour = DARK inner: Inner any: Any }
input One @oneOf { a: Int b: String inner: Inner }
type Query {
  f(n: Int, d: Int = 3, s: String, colour: Colour = RED, list: [Int], grid: [[Int!]], inner: Inner,
  inners: [Inner!], any: Any, one: One): String
  strict(n: Int!, d: Int! = 3, list: [Int!]!): String
  self: Query
}
type Subscription { f(n: Int, inner: Inner): String }
"""


def given(source: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> str:
    return repr(arguments)


SCHEMA = schema_of(SDL, Query_f=given, Query_strict=given)
for name, value in (("RED", 1), ("DARK", Shade.DARK)):
    SCHEMA.type_map["Colour"].values[name].value = value  # type: ignore[attr-defined]


def f(arguments: str, declared: str = "", variables: dict[str, Any] | None = None) -> Answer:
    answer = both(SCHEMA, f"query {declared} {{ f{arguments} self {{ x: f{arguments} }} }}", {"self": {}}, variables)
    if answer.data is not None:
        assert answer.data["f"] == answer.data["self"]["x"]
    return answer


DEFAULTS = "'d': 3, 'colour': 1"


@pytest.mark.parametrize(
    ("arguments", "declared", "variables", "expected"),
    [
        ("", "", {}, "{'d': 3, 'colour': 1}"),
        ("(n: null, d: null)", "", {}, "{'n': None, 'd': None, 'colour': 1}"),
        ("(n: $v, d: $v)", "($v: Int)", {}, "{'d': 3, 'colour': 1}"),
        ("(n: $v, d: $v)", "($v: Int)", {"v": None}, "{'n': None, 'd': None, 'colour': 1}"),
        ("(n: $v, d: $v)", "($v: Int = 5)", {}, "{'n': 5, 'd': 5, 'colour': 1}"),
        ("(n: $v, d: $v)", "($v: Int = 5)", {"v": None}, "{'n': None, 'd': None, 'colour': 1}"),
        ("(n: $v, d: $v)", "($v: Int = null)", {}, "{'n': None, 'd': None, 'colour': 1}"),
        ("(inner: {list: $v})", "($v: [Int!])", {}, None),
        ("(inner: {list: $v, n: null})", "($v: [Int!])", {"v": None}, None),
        ("(inner: {n: $v})", "($v: Int)", {}, None),
    ],
)
def test_absent_null_and_default_are_three_things(
    arguments: str, declared: str, variables: dict[str, Any], expected: str | None
) -> None:
    """graphql/graphql-js#4711; graphql/graphql-spec#1056; graphql-dotnet/graphql-dotnet#2159; graphql-jit#142"""
    answer = f(arguments, declared, variables)
    if expected is not None:
        assert answer.data["f"] == expected


@pytest.mark.parametrize(
    "value", ['{a: [1, {b: "x"}], c: null, d: RED}', "1", '"x"', "[[]]", "RED", "true", "1.5", "null"]
)
def test_a_custom_scalar_as_a_literal(value: str) -> None:
    """zalando-incubator/graphql-jit#266, #158"""
    f(f"(any: {value})")
    f(f"(any: $v, inner: {{any: $v}}, inners: [{{any: {value}}}])", f"($v: Any = {value})")


@pytest.mark.parametrize("value", [{"a": [1, {"b": "x"}]}, 1, "x", [[]], True, 1.5, None])
def test_a_custom_scalar_as_a_variable_also_inside_a_literal(value: object) -> None:
    f("(any: $v, inner: {any: $v, inner: {any: {x: $v, y: [$v]}}})", "($v: Any)", {"v": value})


def test_enums_give_their_internal_values() -> None:
    """graphql/graphql-js#123"""
    assert f("(colour: DARK)").data["f"] == "{'d': 3, 'colour': <Shade.DARK: 'd'>}"
    assert f("(colour: $c)", "($c: Colour)", {"c": "RED"}).data["f"] == "{'d': 3, 'colour': 1}"
    assert f("(colour: $c)", "($c: Colour)", {"c": 1}).data is None


@pytest.mark.parametrize("internal", [None, False, math.nan, (), {"a": 1}])
def test_an_enum_value_may_stand_for_anything(internal: object) -> None:
    schema = schema_of("enum Odd { IT } type Query { f(odd: Odd!, more: [Odd!] = [IT]): String }", Query_f=given)
    schema.type_map["Odd"].values["IT"].value = internal  # type: ignore[attr-defined]
    source = (
        "query ($odd: Odd!, $more: [Odd!]) { f(odd: $odd, more: $more) x: f(odd: IT, more: [$odd]) y: f(odd: $odd) }"
    )
    for variables in ({"odd": "IT"}, {"odd": "IT", "more": ["IT", "IT"]}, {"odd": internal}):
        both(schema, source, {}, variables)


def test_an_undefined_variable_is_absent() -> None:
    answer = f("(n: $v, d: $v, inner: {n: $v})", "($v: Int)", {"v": Undefined})
    assert answer.data["f"] == f("(n: $v, d: $v, inner: {n: $v})", "($v: Int)").data["f"]


def test_a_scalar_that_refuses_an_input_only_when_it_is_executed_is_an_error_of_the_field() -> None:
    """What is refused at validation too is no valid document."""
    is_strict = False

    def coerce(value: object) -> object:
        if is_strict:
            raise ValueError("no such thing")
        return value

    schema = schema_of("scalar Fussy type Query { f(x: Fussy, xs: [Fussy!]): String n: Int }", Query_f=given)
    schema.type_map["Fussy"].coerce_input_value = coerce  # type: ignore[attr-defined]
    document = parse("query ($x: Fussy) { n f(x: 5) g: f(xs: [1, 5]) h: f(x: $x) i: f(xs: [$x]) }")
    operation = compile_operation(schema, document)
    for variables in ({}, {"x": None}, {"x": 5}):
        for is_strict in (False, True):
            by_core = execute(schema, document, {"n": 1}, None, variables)
            own = operation.execute({"n": 1}, None, variables)
            assert described(own) == described(by_core)  # type: ignore[arg-type]
            assert bool(own.errors) is (is_strict or "x" not in variables or variables["x"] is None)  # type: ignore[union-attr]


@pytest.mark.parametrize("default", [GraphQLDefaultInput(value="no number"), GraphQLDefaultInput(value=5)])
def test_a_default_that_does_not_fit_is_an_error_of_the_field(default: GraphQLDefaultInput) -> None:
    schema = schema_of("input In { n: Int = 1 } type Query { f(x: Int = 1, in: In): String n: Int }", Query_f=given)
    schema.query_type.fields["f"].args["x"].default = default  # type: ignore[union-attr]
    schema.type_map["In"].fields["n"].default = default  # type: ignore[attr-defined]
    schema._validation_errors = []  # nobody looks at defaults before they are needed
    answer = both(schema, "query ($x: Int) { n f g: f(x: $x) h: f(x: 2, in: {}) i: f(x: 2, in: {n: 3}) }", {"n": 1})
    assert answer.data["i"] == "{'x': 2, 'in': {'n': 3}}"
    assert (answer.data["f"] is None) is (default.value != 5)


@pytest.mark.parametrize(
    ("literal", "variable"),
    [
        ("1", 1),
        ("[1]", [1]),
        ("[[1], 2]", [[1], 2]),
        ("null", None),
        ("[null]", [None]),
        ("[]", []),
        ("[[], null]", [[], None]),
    ],
)
def test_one_value_is_a_list_of_one_at_every_depth(literal: str, variable: object) -> None:
    """grafbase/grafbase#1084; graphprotocol/graph-node#831"""
    by_literal = f(f"(grid: {literal})")
    by_variable = f("(grid: $v)", "($v: [[Int!]])", {"v": variable})
    assert by_literal.data == by_variable.data
    f("(inners: {list: 1, inner: {list: 2}})")
    f("(inners: $v)", "($v: [Inner!])", {"v": {"list": 1, "inner": {"list": 2}}})


@pytest.mark.parametrize(
    ("arguments", "declared", "variables"),
    [
        ("(n: 1, list: [1, $v])", "($v: Int!)", {"v": 2}),
        ("(n: $v, list: $l)", "($v: Int!, $l: [Int!]!)", {"v": 2, "l": 3}),
        ("(n: 1, d: $v, list: [])", "($v: Int)", {}),
        ("(n: 1, d: $v, list: [])", "($v: Int)", {"v": None}),
        ("(n: 1, d: $v, list: [])", "($v: Int = 9)", {"v": None}),
        ("(n: $v, list: [])", "($v: Int = 9)", {"v": None}),
        ("(n: $v, list: [])", "($v: Int!)", {}),
        ("(n: $v, list: [])", "($v: Int!)", {"v": None}),
        ("(n: $v, list: [])", "($v: Int!)", {"v": "x"}),
        ("(n: $v, list: [])", "($v: Int!)", {"v": True}),
        ("(n: $v, list: [])", "($v: Int!)", {"v": 2.0, "unknown": 1}),
        ("(n: 1, list: $l)", "($l: [Int!]!)", {"l": [1, None, "x"]}),
    ],
)
def test_non_null_arguments(arguments: str, declared: str, variables: dict[str, Any]) -> None:
    both(SCHEMA, f"query {declared} {{ strict{arguments} f }}", {}, variables)


@pytest.mark.parametrize(
    "one", [{"a": 1}, {"b": "x"}, {"inner": {}}, {}, {"a": 1, "b": "x"}, {"a": None}, {"a": "x"}, {"c": 1}, None]
)
def test_exactly_one_of_several(one: object) -> None:
    f("(one: $one)", "($one: One)", {"one": one})


def test_exactly_one_of_several_in_literals() -> None:
    f("(one: {a: 1})")
    f('(one: {b: "x"})')
    f("(one: {a: $v})", "($v: Int!)", {"v": 1})
    f("(one: {inner: {n: $v}})", "($v: Int)", {})


def test_variables_that_do_not_fit_execute_nothing() -> None:
    called: list[object] = []
    schema = schema_of(SDL, Query_f=lambda source, info, **arguments: called.append(arguments))
    answer = both(
        schema,
        "query ($a: Int!, $b: [Int!], $c: Inner) { f(n: $a, list: $b, inner: $c) }",
        {},
        {"b": [None, "x"], "c": {"n": "x", "other": 1}},
    )
    assert answer.data is None
    assert all(path is None for _, path in errors_of(answer))
    assert len(answer.problems) > 3
    assert called == []


def test_arguments_are_made_anew_so_that_a_resolver_may_change_them() -> None:
    def change(source: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> str:
        text = repr(arguments)
        for value in arguments.values():
            if isinstance(value, dict):
                value.clear()
            if isinstance(value, list):
                value.append("changed")
        return text

    schema = schema_of(SDL, Query_f=change)
    source = (
        "query ($v: [Int]) { a: f(list: [1], inner: {n: 1}) self { b: f(list: [1], inner: {n: 1}) } c: f(list: $v) }"
    )
    for _ in range(2):
        answer = both(schema, source, {"self": {}}, {"v": [4]})
        assert "changed" not in str(answer.data)


def test_arguments_and_fields_of_inputs_go_by_their_internal_names() -> None:
    schema = schema_of(
        "input In { cD: Int = 4 more: In } type Query { f(aB: Int = 1, in: In = {}): String }", Query_f=given
    )
    schema.query_type.fields["f"].args["aB"].out_name = "a_b"  # type: ignore[union-attr]
    schema.type_map["In"].fields["cD"].out_name = "c_d"  # type: ignore[attr-defined]
    source = "query ($in: In) { f x: f(aB: 2) y: f(in: {more: {cD: 5}}) z: f(in: $in) }"
    assert both(schema, source, None, {"in": {"more": {"cD": 6}}}).data == {
        "f": "{'a_b': 1, 'in': {'c_d': 4}}",
        "x": "{'a_b': 2, 'in': {'c_d': 4}}",
        "y": "{'a_b': 1, 'in': {'c_d': 4, 'more': {'c_d': 5}}}",
        "z": "{'a_b': 1, 'in': {'c_d': 4, 'more': {'c_d': 6}}}",
    }


def test_info_tells_what_graphql_core_tells() -> None:
    seen: list[object] = []

    def look(source: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> str:
        path = info.path
        seen.append(
            (info.field_name, len(info.field_nodes), str(info.return_type), str(info.parent_type), path.as_list())
        )
        seen.append((path.key, path.typename, path.prev and (path.prev.key, path.prev.typename)))
        seen.append(
            (info.root_value, info.context, info.operation.name and info.operation.name.value, sorted(info.fragments))
        )
        seen.append((info.variable_values.coerced, info.schema is schema, info.is_awaitable(1)))
        return "x"

    schema = schema_of(SDL, Query_f=look)
    source = "query Named($n: Int) { a: f(n: $n) self { f ...F } } fragment F on Query { f self { f } }"
    both(schema, source, {"self": {"self": {}}}, {"n": 1}, context="context")
    half = len(seen) // 2
    assert half == 12
    assert seen[:half] == seen[half:]


def test_arguments_of_a_field_that_is_only_read_are_checked() -> None:
    schema = schema_of("enum Colour { RED } type Query { f(c: Colour! = RED): String g(cs: [Colour!]!): [Int] }")
    source = "query ($c: Colour = RED) { f(c: $c) g(cs: [$c]) }"
    answer = both(schema, source, {"f": "x", "g": [1]}, {"c": None})
    assert answer.data == {"f": None, "g": None}
    assert len(answer.problems) == 2
    assert both(schema, source, {"f": "x", "g": [1]}).data == {"f": "x", "g": [1]}
