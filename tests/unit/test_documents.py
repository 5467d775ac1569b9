"""Reading requests, choosing operations, remembering documents."""

from collections.abc import Callable
from typing import Any

import pytest
from graphql import DocumentNode

from engine import CompiledOperation, Unsupported, compile_operation
from resolvers.transport import documents
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest
from resolvers.transport.errors import Rejected
from tests.support.toy.schema import schema

EXECUTABLE = schema._schema


def fresh_documents() -> Documents:
    return Documents(EXECUTABLE, OperationLimits())


@pytest.mark.parametrize(
    "value",
    [
        None, 1, "x", [], [{"query": "{hello}"}], {}, {"query": None}, {"query": ""}, {"query": {"a": 1}},
        {"query": "{hello}", "variables": "{}"}, {"query": "{hello}", "variables": [1]},
        {"query": "{hello}", "operationName": 1}, {"query": "{hello}", "extensions": "x"},
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        GraphQLRequest.from_json(value)
    assert caught.value.errors[0]["extensions"]["code"] == "BAD_REQUEST"
    assert not caught.value.well_formed


def test_null_members_count_as_absent() -> None:
    value = {"query": "{hello}", "variables": None, "operationName": None, "extensions": None}
    assert GraphQLRequest.from_json(value) == GraphQLRequest("{hello}", None, {})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("\ud800", "GRAPHQL_PARSE_FAILED"),
        ('{hello(name:"\\ud800")}', "GRAPHQL_PARSE_FAILED"),
        ("{nope}", "GRAPHQL_VALIDATION_FAILED"),
        ("type X {a: Int}", "GRAPHQL_VALIDATION_FAILED"),
        ("fragment F on Query{hello}", "GRAPHQL_VALIDATION_FAILED"),
        ("query A{hello} query B{hello}", "GRAPHQL_VALIDATION_FAILED"),
        ("query A{hello} query A{hello}", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_every_mistake_in_a_document_has_a_code(query: str, code: str) -> None:
    with pytest.raises(Rejected) as caught:
        fresh_documents().operation(GraphQLRequest(query))
    assert {error["extensions"]["code"] for error in caught.value.errors} == {code}


def test_misspelt_field_gets_no_suggestions() -> None:
    with pytest.raises(Rejected) as caught:
        fresh_documents().operation(GraphQLRequest("{helo}"))
    assert "hello" not in str(caught.value.errors)


@pytest.mark.parametrize(
    "query",
    [
        "{hello " + "".join(f"@x{n} " for n in range(10)) + "}",
        "{" + " ".join(f"a{n}" for n in range(10)) + "}",
        "{hello " + " ".join(f"a{n}:hello(x{n}:1)" for n in range(10)) + "}",
        "query(" + ",".join(f"$v{n}:Int" for n in range(10)) + "){hello}",
        "{" + " ".join(f"...F{n}" for n in range(10)) + "}",
        "{" + " ".join(f"... on Post{{id}} ... on Nope{n}{{id}}" for n in range(10)) + "}",
    ],
)
def test_ten_mistakes_of_a_kind_are_one_error(query: str) -> None:
    with pytest.raises(Rejected) as caught:
        fresh_documents().operation(GraphQLRequest(query))
    kinds = [error["message"].translate(str.maketrans("", "", "0123456789")) for error in caught.value.errors]
    assert len(kinds) == len(set(kinds)) <= 2


def test_document_with_mistakes_of_many_kinds_has_five_errors_at_most() -> None:
    query = "query A($a:Int,$a:Nope){hello(x:1,x:2)@nope nope ...G ...on Nope{id} feed @skip} fragment F on Int{a}"
    with pytest.raises(Rejected) as caught:
        fresh_documents().operation(GraphQLRequest(query))
    assert len(caught.value.errors) == 5


def test_long_literals_are_not_echoed_whole() -> None:
    with pytest.raises(Rejected) as caught:
        fresh_documents().operation(GraphQLRequest("{hello(name:[" + "1 " * 1_000 + "])}"))
    assert all(len(error["message"]) <= 300 for error in caught.value.errors)


def test_operation_is_chosen_by_name() -> None:
    query = "query A{hello} mutation B{add(a:1,b:2)}"
    assert fresh_documents().operation(GraphQLRequest(query, "B")).kind.value == "mutation"
    with pytest.raises(Rejected):
        fresh_documents().operation(GraphQLRequest(query, "C"))


def test_document_is_parsed_once() -> None:
    cache = fresh_documents()
    first, second = (cache.operation(GraphQLRequest("{hello}")) for _ in range(2))
    assert first.document is second.document


def test_memory_of_documents_is_bounded_by_their_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "CACHED_TOKENS", 100)
    cache = fresh_documents()
    first = cache.operation(GraphQLRequest("{hello}"))
    for n in range(50):
        cache.operation(GraphQLRequest(f"{{a{n}:hello}}"))
    assert cache._cached_tokens <= 100
    assert cache.operation(GraphQLRequest("{hello}")).document is not first.document


def test_variables_of_one_request_do_not_leak_into_the_next() -> None:
    cache = fresh_documents()
    query = "query($n:Int){feed(first:$n){edges{cursor}}}"
    costs: list[Any] = [cache.operation(GraphQLRequest(query, None, {"n": n})).cost for n in (1, 50, 1)]
    assert costs == [3, 101, 3]


class Compiler:
    """Compiles the toy's operations, and notes which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def __call__(
        self, document: DocumentNode, operation_name: str | None, grown: Callable[[], None]
    ) -> CompiledOperation | None:
        self.asked.append(operation_name)
        try:
            return compile_operation(EXECUTABLE, document, operation_name, grown=grown)
        except Unsupported:
            return None


def uses(query: str, times: int, *, compile_at: int, name: str | None = None) -> tuple[list[bool], Compiler]:
    """Whether an operation was compiled at each use of it, and its compiler."""
    compiler = Compiler()
    cache = Documents(EXECUTABLE, OperationLimits(), compile_operation=compiler, compile_at=compile_at)
    request = GraphQLRequest(query, name)
    return [cache.operation(request).compiled is not None for _ in range(times)], compiler


def test_an_operation_is_compiled_once_when_it_comes_again() -> None:
    compiled, compiler = uses("query A { hello } query B { hello }", 4, compile_at=2, name="B")
    assert compiled == [False, True, True, True]
    assert compiler.asked == ["B"]


def test_nothing_is_compiled_where_that_is_turned_off() -> None:
    compiled, compiler = uses("{ hello }", 3, compile_at=0)
    assert compiled == [False, False, False]
    assert compiler.asked == []


def test_a_large_operation_is_compiled_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FIELDS_A_USE", 4)
    compiled, _ = uses("{ a: hello b: hello c: hello d: hello }", 4, compile_at=2)
    assert compiled == [False, False, True, True]


def test_what_cannot_be_compiled_is_tried_once() -> None:
    compiled, compiler = uses("{ __schema { queryType { name } } }", 4, compile_at=2)
    assert compiled == [False, False, False, False]
    assert compiler.asked == [None]


def test_compiled_operations_count_to_the_size_of_the_cache_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "CACHED_TOKENS", 70)
    cache = Documents(EXECUTABLE, OperationLimits(), compile_operation=Compiler(), compile_at=1)
    for each in ("{ hello }", "{ a: hello b: hello c: hello }"):  # five and eleven tokens, one and three fields
        cache.operation(GraphQLRequest(each))
        assert list(cache._cached) == [each]


def test_a_variant_that_an_execution_compiled_counts_at_once() -> None:
    cache = Documents(EXECUTABLE, OperationLimits(), compile_operation=Compiler(), compile_at=1)
    query = "query ($yes: Boolean!) { hello @include(if: $yes) }"
    sizes = []
    for yes in (True, False):
        operation = cache.operation(GraphQLRequest(query, None, {"yes": yes}))
        sizes.append(cache._cached_tokens)
        assert operation.compiled is not None
        operation.compiled.execute(None, None, operation.variables)
        sizes.append(cache._cached_tokens)
    assert sizes[0] < sizes[1] == sizes[2] == sizes[3], "the second variant has no field"
