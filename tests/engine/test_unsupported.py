"""What `compile_operation` leaves to graphql-core, and the options that both take."""

from typing import Any

import pytest
from graphql import ExecutionResult, build_schema, execute, parse

from engine import Unsupported, compile_operation
from tests.engine.comparison import described

SCHEMA = build_schema("input In { n: Int! } type Query { n(in: In, ins: [In!]): Int query: Query }")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{ __schema { queryType { name } } }", None),
        ('{ n __type(name: "Query") { name } }', None),
        ("query @experimental_disableErrorPropagation { n }", None),
        ("{ query { ... @defer { n } } }", None),
        ("{ query @stream { n } }", None),
        ("{ ...F(x: 1) } fragment F($x: Int) on Query { n(in: {n: $x}) }", None),
        ("query A { n } query B { n }", None),
        ("query A { n } query B { n }", "C"),
        ("query A { n }", ""),
        ("fragment F on Query { n }", None),
        ("mutation { n }", None),
    ],
)
def test_it_is_left_to_graphql_core(source: str, name: str | None) -> None:
    with pytest.raises(Unsupported):
        compile_operation(SCHEMA, parse(source, experimental_fragment_arguments=True), name)


@pytest.mark.parametrize("limit", [0, 1, 3])
@pytest.mark.parametrize("hide", [True, False])
def test_errors_of_variables_are_as_many_and_as_talkative_as_asked(limit: int, hide: bool) -> None:
    document = parse("query ($in: In, $ins: [In!]) { n(in: $in, ins: $ins) }")
    variables: dict[str, Any] = {"in": {"m": 1}, "ins": [{"n": "x"}, {"n": None}, 5]}
    options: dict[str, Any] = {"max_coercion_errors": limit, "hide_suggestions": hide}
    by_core = execute(SCHEMA, document, variable_values=variables, **options)
    own = compile_operation(SCHEMA, document, **options).execute(None, None, variables)
    assert isinstance(by_core, ExecutionResult)
    assert isinstance(own, ExecutionResult)
    assert described(own) == described(by_core)
    assert len(own.errors or ()) == limit + 1


def _no_plan(*_: object) -> None:
    raise ValueError("no plan")


def test_a_fault_of_the_compiler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unsupported, match="no plan"):
        compile_operation(SCHEMA, parse("{ n }"), plan=_no_plan)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_graphql_core_executes_a_variant_that_a_fault_keeps_from_being_compiled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    operation = compile_operation(SCHEMA, parse("query ($yes: Boolean = true) { n @include(if: $yes) }"), plan=_no_plan)
    for _ in range(2):
        result = operation.execute({"n": 1})
        assert isinstance(result, ExecutionResult)
        assert result.data == {"n": 1}
    assert operation.fallbacks == 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]
