"""Which operations are answered although their access token has expired or was revoked; all others are refused.

A root field declares it in its metadata, by a function of the operation's context. An operation is answered if each of
its root fields declares it, also those that directives leave out. `__typename` is ignored. An operation of only
introspection is refused: a client that sends a token expects to be signed in.
"""

from typing import cast

from graphql import GraphQLObjectType, GraphQLSchema

from resolvers.transport.documents import Operation
from resolvers.transport.signed_in_only import root_fields
from schema.field_metadata import metadata_of

ANSWERS_BAD_TOKEN = "answers_bad_token"  # noqa: S105  the key in a field's metadata


async def is_answered(schema: GraphQLSchema, operation: Operation, context: object) -> bool:
    """Whether to run an operation with a bad token, in this context."""
    root = cast("GraphQLObjectType", schema.get_root_type(operation.kind))
    names = [name for name in root_fields(operation.document, operation.node) if not name.startswith("__")]
    declared = [metadata_of(root.fields[name]).get(ANSWERS_BAD_TOKEN) for name in sorted(names)]
    return bool(declared) and None not in declared and all([await answers(context) for answers in declared])
