"""What an operation may be: bombs are refused in no time, screens and tools pass."""

import time
from typing import Any

import pytest

from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest
from resolvers.transport.errors import Rejected
from tests.support.toy.schema import schema

EXECUTABLE = schema._schema


def refusal(query: str) -> dict[str, Any]:
    with pytest.raises(Rejected) as caught:
        Documents(EXECUTABLE, OperationLimits()).operation(GraphQLRequest(query))
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
def test_a_bomb_is_refused_before_it_costs_anything(query: str) -> None:
    started = time.process_time()
    error = refusal(query)
    assert time.process_time() - started < 5, "it takes milliseconds; a pass that follows the bomb takes minutes"
    assert error["extensions"]["code"] == "OPERATION_TOO_COMPLEX"


def test_nested_introspection_is_refused() -> None:
    error = refusal("{__schema{types{" + "fields{type{" * 6 + "name" + "}}" * 6 + "}}}")
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


def test_cycle_of_fragments_is_invalid_and_not_endless() -> None:
    error = refusal("{...A} fragment A on Query{node{...B}} fragment B on Query{node{...A}}")
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
