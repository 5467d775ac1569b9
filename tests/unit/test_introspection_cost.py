"""Introspection costs what it answers, and can be turned off."""

import time
from typing import Any

import pytest
from graphql import execute_sync, get_introspection_query, parse

from config import Settings
from resolvers.api import schema
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest
from resolvers.transport.errors import Rejected

EXECUTABLE = schema._schema
TOOLS = get_introspection_query(
    descriptions=True,
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
)
ALIASES = "{" + " ".join(f"a{n}:__schema{{types{{name kind description}}}}" for n in range(20)) + "}"


def cost(query: str, *, introspection: bool = True, limits: OperationLimits | None = None) -> int:
    cache = Documents(EXECUTABLE, limits or OperationLimits(), introspection=introspection)
    return cache.operation(GraphQLRequest(query)).cost


def answered(value: Any) -> int:
    """How many fields an answer has."""
    if isinstance(value, dict):
        return len(value) + sum(answered(inner) for inner in value.values())
    return sum(answered(item) for item in value) if isinstance(value, list) else 0


@pytest.mark.parametrize(
    "query",
    [
        TOOLS,
        ALIASES,
        "{__schema{directives{name args{name type{name}}} queryType{name}}}",
        '{__type(name:"Post"){name fields{name type{name ofType{name}}} interfaces{name possibleTypes{name}}}}',
        '{__type(name:"Nothing"){name}}',
        "{...F} fragment F on Query{__schema{types{...T}}} fragment T on __Type{name enumValues{name __typename}}",
    ],
)
def test_introspection_costs_what_it_answers(query: str) -> None:
    result = execute_sync(EXECUTABLE, parse(query))
    assert result.errors is None
    assert cost(query) == answered(result.data)


def test_type_that_a_variable_names_counts_as_the_largest() -> None:
    fields = "fields{name args{name type{name}}}"
    largest = max(cost(f'{{__type(name:"{name}"){{{fields}}}}}') for name in EXECUTABLE.type_map)
    assert cost(f"query($n:String!){{__type(name:$n){{{fields}}}}}") == largest


def test_twenty_aliases_of_all_types_cost_twenty_times() -> None:
    assert cost(ALIASES) > 20 * len(EXECUTABLE.type_map)
    with pytest.raises(Rejected) as caught:
        cost(ALIASES.replace("types{", "types{fields{name args{name type{name}} type{name}} "))
    assert caught.value.errors[0]["extensions"]["code"] == "OPERATION_TOO_COMPLEX"


def test_full_query_of_the_tools_passes_with_room_to_grow() -> None:
    assert cost(TOOLS) < OperationLimits().cost / 2


def test_fragments_that_spread_the_next_one_twice_are_not_followed_for_ever() -> None:
    chain = "".join(f"fragment F{n} on __Type{{...F{n + 1} ...F{n + 1}}}" for n in range(22))
    started = time.process_time()
    with pytest.raises(Rejected):
        cost("{__schema{types{...F0}}}" + chain + "fragment F22 on __Type{name}")
    assert time.process_time() - started < 5, "a pass that follows them takes minutes"


def test_introspection_that_is_off_is_refused_with_a_code() -> None:
    for query in (TOOLS, '{__type(name:"Post"){name}}', "{...F} fragment F on Query{__schema{queryType{name}}}"):
        with pytest.raises(Rejected) as caught:
            cost(query, introspection=False)
        assert caught.value.errors[0]["extensions"]["code"] == "INTROSPECTION_DISABLED"
    assert cost("{__typename viewer{__typename}}", introspection=False) == 3


@pytest.mark.parametrize(
    ("environment", "setting", "allowed"),
    [
        ("development", None, True), ("test", None, True), ("production", None, False),
        ("production", True, True), ("development", False, False),
    ],
)  # fmt: skip
def test_introspection_is_off_in_production_unless_it_is_set(
    environment: Any, setting: bool | None, allowed: bool
) -> None:
    settings = Settings(environment=environment, introspection=setting, s3_access_key=None)
    assert settings.allows_introspection is allowed
