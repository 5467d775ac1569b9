"""Lists in variables: far too long ones are refused unread, and requests without a session even before that."""

import time
from typing import Any

import pytest

from domain.errors import BadInput, Unauthenticated
from resolvers.api import schema as api
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest, Operation
from tests.support.toy.schema import schema as toy

PILE = "mutation($pile:Pile!){postNotes(pile:$pile)}"
KEPT = "mutation($pile:Pile!){keepNotes(pile:$pile)}"


def operation(query: str, variables: Any = None, schema: Any = toy) -> Operation:
    return Documents(schema._schema, OperationLimits()).operation(GraphQLRequest(query, None, variables or {}))


def refusal(query: str, variables: Any = None, schema: Any = toy) -> str:
    with pytest.raises(BadInput) as caught:
        operation(query, variables, schema).check(signed_in=True)
    return caught.value.message


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (PILE, {"pile": {"notes": [{}] * 45_000}}),
        (PILE, {"pile": {"notes": [{"text": "x", "readers": ["a"] * 45_000}]}}),
        ("mutation($notes:[Note!]!){postNotes(pile:{notes:$notes})}", {"notes": [{}] * 45_000}),
        ("mutation($note:Note!){postNotes(pile:{notes:[$note]})}", {"note": {"readers": ["a"] * 45_000}}),
        ("mutation($readers:[String!]!){postNotes(pile:{notes:[{readers:$readers}]})}", {"readers": ["a"] * 45_000}),
        ("query($ids:[ID!]!){posts(ids:$ids){id}}", {"ids": ["a"] * 45_000}),
        ("query($ids:[ID!]!){...F} fragment F on Query{node{posts(ids:$ids){id}}}", {"ids": ["a"] * 45_000}),
    ],
)
def test_list_that_is_far_too_long_is_refused_wherever_it_is_given(query: str, variables: Any) -> None:
    assert "has 45,000 items; at most" in refusal(query, variables)


def test_refusal_names_the_place_and_the_bound() -> None:
    assert refusal(PILE, {"pile": {"notes": [{}] * 21}}) == "$pile.notes has 21 items; at most 10 are allowed."


@pytest.mark.parametrize(
    "pile", [None, 1, [], {}, {"notes": None}, {"notes": {}}, {"notes": [[[]], 1, None]}, {"notes": [{}] * 20}, "x"]
)
def test_a_list_that_is_only_a_little_too_long_is_left_to_the_mutation(pile: Any) -> None:
    operation(PILE, {"pile": pile}).check(signed_in=True)
    operation(PILE).check(signed_in=True)


def test_refusing_a_very_long_list_costs_next_to_nothing() -> None:
    images = [{"uploadId": "a", "taggedUsers": [{"userId": "b", "x": 0, "y": 0}] * 19}] * 45_000
    started = time.process_time()
    query = "mutation($input:CreatePostInput!){createPost(input:$input){post{id}}}"
    assert "images" in refusal(query, {"input": {"images": images}}, api)
    assert "$ids" in refusal("query($ids:[ID!]!){nodes(ids:$ids){id}}", {"ids": ["a"] * 180_000}, api)
    assert time.process_time() - started < 0.5, "reading them takes seconds"


def test_an_anonymous_request_is_refused_before_its_lists_are_checked() -> None:
    kept = operation(KEPT, {"pile": {"notes": [{}] * 45_000}})
    with pytest.raises(Unauthenticated):
        kept.check(signed_in=False)
    operation(KEPT, {"pile": {"notes": []}}).check(signed_in=True)


@pytest.mark.parametrize(
    ("query", "private"),
    [
        ("{feed{edges{cursor}}}", True),
        ("{__typename ...F} fragment F on Query{feed{edges{cursor}} ... {notifications{edges{cursor}}}}", True),
        ("{feed{edges{cursor}} viewer{email}}", False),
        ("{viewer{email}}", False),
        ("{__typename}", False),
        ("{__schema{queryType{name}}}", False),
        ('mutation{login(input:{login:"a",password:"b"}){viewer{email}} logout(input:{}){userErrors{code}}}', False),
        ('mutation{likePost(input:{postId:"a"}){userErrors{code}}}', True),
        ("subscription{notificationAdded{seq}}", True),
    ],
)
def test_operation_needs_a_session_if_all_of_it_does(query: str, private: bool) -> None:
    assert operation(query, schema=api).is_private is private
