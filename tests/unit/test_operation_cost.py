"""What an operation costs: the fields of its answer if every page and every list is full, whatever was asked before."""

from typing import Any

import pytest

from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest
from resolvers.transport.errors import Rejected
from tests.support.toy.schema import schema

EXECUTABLE = schema._schema
ABSENT = object()


def documents(limits: OperationLimits | None = None) -> Documents:
    return Documents(EXECUTABLE, limits or OperationLimits())


def cost(query: str, variables: dict[str, Any] | None = None, cache: Documents | None = None) -> int:
    return (cache or documents()).operation(GraphQLRequest(query, None, variables or {})).cost


def test_page_size_multiplies_what_a_page_asks_for() -> None:
    asked = "{edges{node{id caption}}}"
    assert cost(f"{{feed(first:10){asked}}}") == 1 + 10 * 4
    assert cost(f"{{feed{asked}}}") == 1 + 20 * 4
    assert cost(f"{{feed(first:9999){asked}}}") == 1 + 50 * 4
    assert cost(f"{{feed(first:-5){asked}}}") == 1 + 1 * 4


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ("first:null", 20), ("last:null", 20), ("first:null,last:null", 20), ("last:50", 50),
        ("first:null,last:50", 50),        ("first:7,last:null", 7), ("first:1,last:50", 50),
    ],
)  # fmt: skip
def test_null_counts_as_absent(arguments: str, size: int) -> None:
    assert cost(f"{{feed({arguments}){{edges{{cursor}}}}}}") == 1 + size * 2


def test_page_size_is_taken_from_variables_and_their_defaults() -> None:
    query = "query($n:Int=7){feed(first:$n){edges{node{id}}}}"
    assert cost(query, {"n": 3}) == 1 + 3 * 3
    assert cost(query) == 1 + 7 * 3
    assert cost(query, {"n": None}) == 1 + 20 * 3, "null is null, and not the default"
    assert cost(query.replace("=7", "")) == 1 + 20 * 3
    assert cost(query.replace("=7", "=null")) == 1 + 20 * 3


def test_large_page_in_a_variable_is_refused_and_a_small_one_served() -> None:
    query = "query($n:Int!){feed(first:$n){edges{node{comments(first:$n){edges{node{images{id} caption id}}}}}}}"
    cache = documents(OperationLimits(cost=5_000))
    assert cost(query, {"n": 5}, cache) < 500
    with pytest.raises(Rejected):
        cost(query, {"n": 50}, cache)
    assert cost(query, {"n": 5}, cache) < 500


def test_strange_variables_do_not_get_past_the_limit() -> None:
    query = "query($n:Int!){feed(first:$n){edges{node{id}}}}"
    for strange in ("50", [1], {"a": 1}, True, 1e300, 50.0, 10**30):
        assert cost(query, {"n": strange}) == 1 + 50 * 3


@pytest.mark.parametrize(
    "query",
    [
        "query($n:Int){feed(first:$n){edges{cursor}}}",
        "query($n:Int=1){feed(first:$n){edges{node{comments(first:$n){edges{cursor}}}}}}",
        "query($n:Int=50){feed(last:$n){edges{cursor}}}",
        "query($n:Int=null){feed(first:$n,last:$n){edges{cursor}}}",
        "query($n:Int=3){feed(first:null,last:$n){edges{cursor}}}",
    ],
)
def test_earlier_requests_do_not_change_the_cost(query: str) -> None:
    values: tuple[Any, ...] = (ABSENT, None, 0, 1, 2, 20, 50, 51, True, False, 2.0, "2", [1, 2], [], {"a": 1})
    sent = [{} if value is ABSENT else {"n": value} for value in values]
    alone = [cost(query, variables) for variables in sent]
    for first in sent:
        cache = documents()
        cost(query, first, cache)
        assert [cost(query, variables, cache) for variables in sent] == alone, first


def test_left_out_and_null_do_not_share_a_cost() -> None:
    inner = "edges{node{comments(first:$n){edges{node{comments(first:$n){edges{cursor}}}}}}}"
    query = f"query($n:Int=1){{feed(first:$n){{{inner}}}}}"
    cache = documents()
    assert cost(query, {}, cache) == 1 + 2 + 1 + 2 + 1 + 2
    assert cost(query, {"n": None}, cache) > 16_000


def test_a_field_of_ids_costs_as_much_as_there_are_ids() -> None:
    query = "query($ids:[ID!]!){posts(ids:$ids){id}}"
    cache = documents()
    assert cost(query, {"ids": ["1"] * 3}, cache) == 1 + 3
    assert cost(query, {"ids": 3}, cache) == 1 + 50
    assert cost(query, {"ids": ["1"] * 3}, cache) == 1 + 3
    assert cost(query, {"ids": ["1"] * 99}, cache) == 1 + 50
    assert cost('{posts(ids:["1","2"]){id}}') == 1 + 2
    assert cost('{posts(ids:"1"){id}}') == 1 + 50


def test_list_counts_as_full_by_its_declared_bound_and_as_a_page_without_one() -> None:
    assert cost("{feed(first:1){edges{node{images{id}}}}}") == 1 + 1 + 1 + 1 + 3
    assert cost("{feed(first:1){edges{node{unbounded{id}}}}}") == 1 + 1 + 1 + 1 + 50


def test_name_of_a_type_is_a_field_of_the_answer() -> None:
    aliases = " ".join(f"a{n}:__typename" for n in range(9))
    assert cost(f"{{feed(first:50){{edges{{{aliases}}}}}}}") == 1 + 50 * (1 + 9)


def test_fragment_counts_as_often_as_it_is_spread() -> None:
    assert cost("{a:node{...F} b:node{...F}} fragment F on Query{hello viewer}") == 6
