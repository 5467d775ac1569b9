"""Which root fields answer a request whose token is not valid, and how documents of several are judged."""

import pytest
from graphql import OperationType

from resolvers.api import schema
from resolvers.transport.bad_tokens import ANSWERS_BAD_TOKEN, is_answered
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.documents import Documents, GraphQLRequest, Operation
from resolvers.transport.signed_in_only import root_fields
from schema.field_metadata import metadata_of
from tests.support.client import WITHOUT_SESSION
from tests.support.toy.schema import schema as toy_schema
from tests.support.toy.world import Context, World

DECLARED = {f"Mutation.{name}" for name in WITHOUT_SESSION | {"logout", "deleteAccount", "deactivateAccount"}}


def operation(query: str) -> Operation:
    return Documents(toy_schema._schema, OperationLimits()).operation(GraphQLRequest(query))


def test_only_mutations_that_need_no_session_or_end_it_answer_a_bad_token() -> None:
    roots = [root for kind in OperationType if (root := schema._schema.get_root_type(kind))]
    fields = {f"{root.name}.{name}": field for root in roots for name, field in root.fields.items()}
    assert {name for name, field in fields.items() if ANSWERS_BAD_TOKEN in metadata_of(field)} == DECLARED


def test_root_fields_are_found_through_fragments_whatever_directives_say() -> None:
    query = """mutation { ...F ... on Mutation { a: add(a: 1, b: 2) ...F } __typename }
      fragment F on Mutation { e: enter @skip(if: true) ...G }
      fragment G on Mutation { leave @include(if: false) }"""
    chosen = operation(query)
    assert root_fields(chosen.document, chosen.node) == {"add", "enter", "leave", "__typename"}


@pytest.mark.parametrize(
    ("query", "answered"),
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
async def test_an_operation_is_answered_if_each_of_its_fields_is(query: str, *, answered: bool) -> None:
    world = World()
    context = Context(world, None, "test")
    assert await is_answered(toy_schema._schema, operation(query), context) is answered
    world.may_leave = True
    assert await is_answered(toy_schema._schema, operation("mutation { enter leave }"), context)
