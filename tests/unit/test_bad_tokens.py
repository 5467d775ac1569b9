"""Which root fields answer a request whose token is not valid, and how documents of several are judged."""

import pytest
from graphql import OperationType

from resolvers.api import schema
from resolvers.transport.bad_tokens import BadTokens
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest, Operation
from resolvers.transport.signed_in_only import root_fields
from tests.support.toy.schema import schema as toy_schema
from tests.support.toy.world import Context, World

DECLARED = {"register", "login", "refreshSession", "logout", "deleteAccount"}


def operation(query: str) -> Operation:
    return Documents(toy_schema._schema, OperationLimits()).operation(GraphQLRequest(query))


def test_only_what_needs_no_session_or_ends_it_answers_a_bad_token() -> None:
    declared = {kind: set(fields) for kind, fields in BadTokens(schema._schema)._answering.items()}
    nothing: set[str] = set()
    assert declared == {
        OperationType.MUTATION: DECLARED,
        OperationType.QUERY: nothing,
        OperationType.SUBSCRIPTION: nothing,
    }


def test_root_fields_are_found_through_fragments_whatever_directives_say() -> None:
    query = """mutation { ...F ... on Mutation { a: add(a: 1, b: 2) ...F } __typename }
      fragment F on Mutation { e: enter @skip(if: true) ...G }
      fragment G on Mutation { leave @include(if: false) }"""
    found = operation(query)
    assert root_fields(found.document, found.node) == {"add", "enter", "leave", "__typename"}


@pytest.mark.parametrize(
    ("query", "is_answered"),
    [
        ("mutation { enter }", True),
        ("mutation { a: enter b: enter __typename }", True),
        ("mutation { enter add(a: 1, b: 2) }", False),
        ("mutation { enter ... on Mutation { add(a: 1, b: 2) @skip(if: true) } }", False),
        ("mutation { leave }", False),
        ("mutation { enter leave }", False),
        ("mutation { add(a: 1, b: 2) }", False),
        ("mutation { __typename }", False),
        ("{ hello }", False),
        ("{ __schema { queryType { name } } }", False),
        ("subscription { count }", False),
    ],
)
async def test_an_operation_is_answered_if_each_of_its_fields_is(query: str, *, is_answered: bool) -> None:
    world = World()
    context = Context(world, None, "test")
    assert await BadTokens(toy_schema._schema).are_answered(operation(query), context) is is_answered
    world.may_leave = True
    assert await BadTokens(toy_schema._schema).are_answered(operation("mutation { enter leave }"), context)
