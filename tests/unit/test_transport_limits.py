"""What an operation may be: bombs are refused in no time, screens and tools pass."""

import time
from typing import Any

import pytest
from graphql import get_introspection_query

from resolvers.transport.errors import Rejected
from resolvers.transport.limits import Limits
from resolvers.transport.operations import Documents, GraphQLRequest
from tests.toy import schema

EXECUTABLE = schema._schema


def cost(query: str, variables: dict[str, Any] | None = None, limits: Limits | None = None) -> int:
    return Documents(EXECUTABLE, limits or Limits()).operation(GraphQLRequest(query, None, variables or {})).cost


def refusal(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    with pytest.raises(Rejected) as caught:
        cost(query, variables)
    return caught.value.errors[0]


def chain(length: int, body: str) -> str:
    """Fragments F0, F1, ... each with `body`, in which @ is the name of the next."""
    links = (f"fragment F{n} on Query{{{body.replace('@', f'F{n + 1}')}}}" for n in range(length))
    return "{...F0}" + "".join(links) + f"fragment F{length} on Query{{hello}}"


BOMBS = {
    "fragments that spread the next one twice": chain(22, "...@ ...@"),
    "aliases that double at each level": chain(11, "a:node{...@}b:node{...@}"),
    "aliases that double for ever": chain(40, "a:node{...@}b:node{...@}"),
    "one field a thousand times": "{node{" + "node{hello} " * 350 + "}}",
    "the same in a fragment that is not used": "{hello}fragment F on Query{" + "node{hello} " * 350 + "}",
    "a hundred fragments with one field": "{node{" + "...{node{node{hello}}} " * 95 + "}}",
    "aliases": "{node{" + "".join(f"a{n}:hello " for n in range(101)) + "}}",
    "root fields": "{" + "".join(f"a{n}:hello " for n in range(21)) + "}",
    "directives": "{hello " + "@include(if:true)" * 51 + "}",
    "depth": "{node{" * 1 + "node{" * 15 + "hello" + "}" * 15 + "}}",
    "nesting that the parser gives up on": "{node{" + "node{" * 290 + "hello" + "}" * 290 + "}}",
    "tokens": "{node{" + "hello " * 2_000 + "}}",
    "full pages of full pages": "{feed(first:50){edges{node{comments(first:50){edges{node{comments(first:50)"
    "{edges{node{id}}}}}}}}}}",
    "introspection by alias": "{" + "".join(f"a{n}:__schema{{" + "types{name}" * 20 + "}" for n in range(20)) + "}",
}


@pytest.mark.parametrize("query", BOMBS.values(), ids=BOMBS.keys())
def test_bomb_is_refused_long_before_it_goes_off(query: str) -> None:
    started = time.process_time()
    error = refusal(query)
    assert time.process_time() - started < 5, "it takes milliseconds; a pass that follows the bomb takes minutes"
    assert error["extensions"]["code"] == "OPERATION_TOO_COMPLEX"


def test_nested_introspection_is_refused() -> None:
    error = refusal("{__schema{types{" + "fields{type{" * 6 + "name" + "}}" * 6 + "}}}")
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_full_introspection_of_the_tools_passes() -> None:
    query = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    assert cost(query) == 0


def test_cycle_of_fragments_is_invalid_and_not_endless() -> None:
    error = refusal("{...A} fragment A on Query{node{...B}} fragment B on Query{node{...A}}")
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_page_size_multiplies_what_a_page_asks_for() -> None:
    asked = "{edges{node{id caption}}}"
    assert cost(f"{{feed(first:10){asked}}}") == 1 + 10 * 4
    assert cost(f"{{feed{asked}}}") == 1 + 20 * 4
    assert cost(f"{{feed(first:9999){asked}}}") == 1 + 50 * 4
    assert cost(f"{{feed(first:-5){asked}}}") == 1 + 1 * 4


def test_page_size_is_taken_from_variables_and_their_defaults() -> None:
    query = "query($n:Int=7){feed(first:$n){edges{node{id}}}}"
    assert cost(query, {"n": 3}) == 1 + 3 * 3
    assert cost(query) == 1 + 7 * 3
    assert cost(query.replace("=7", "")) == 1 + 50 * 3


def test_large_page_in_a_variable_is_refused_and_a_small_one_served() -> None:
    query = "query($n:Int!){feed(first:$n){edges{node{comments(first:$n){edges{node{images{id} caption id}}}}}}}"
    documents = Documents(EXECUTABLE, Limits(cost=5_000))
    assert documents.operation(GraphQLRequest(query, None, {"n": 5})).cost < 500
    with pytest.raises(Rejected):
        documents.operation(GraphQLRequest(query, None, {"n": 50}))
    assert documents.operation(GraphQLRequest(query, None, {"n": 5})).cost < 500


def test_strange_variables_do_not_get_past_the_limit() -> None:
    query = "query($n:Int!){feed(first:$n){edges{node{id}}}}"
    for strange in ("50", [1], {"a": 1}, True, 1e300, None):
        assert cost(query, {"n": strange}) in (1 + 50 * 3, 1 + 1 * 3)


def test_list_that_is_no_connection_counts_for_a_few() -> None:
    assert cost("{feed(first:1){edges{node{images{id}}}}}") == 1 + 1 + 1 + 1 + 3


def test_fragment_counts_as_often_as_it_is_spread() -> None:
    assert cost("{a:node{...F} b:node{...F}} fragment F on Query{hello viewer}") == 6
