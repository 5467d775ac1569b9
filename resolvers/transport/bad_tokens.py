"""Which operations are answered although their access token has expired or was revoked; all others are refused.

A root field declares it in its metadata, by a function of the operation's context. An operation is answered if each of
its root fields declares it, also those that directives leave out. `__typename` is ignored. An operation of only
introspection is refused: a client that sends a token expects to be signed in.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from graphql import GraphQLSchema, OperationType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from resolvers.transport.documents import Operation
from resolvers.transport.signed_in_only import root_fields

ANSWERS_BAD_TOKEN = "answers_bad_token"  # noqa: S105  the key in a field's metadata

AnswersBadToken = Callable[[Any], Awaitable[bool]]


class BadTokens:
    """The root fields of a schema that answer requests with a bad token."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._answering = {kind: _answering(schema, kind) for kind in OperationType}

    async def are_answered(self, operation: Operation, context: object) -> bool:
        """Whether to run an operation with a bad token, in this context."""
        names = {name for name in root_fields(operation.document, operation.node) if not name.startswith("__")}
        answering = self._answering[operation.kind]
        return bool(names) and all([name in answering and await answering[name](context) for name in sorted(names)])


def _answering(schema: GraphQLSchema, kind: OperationType) -> Mapping[str, AnswersBadToken]:
    root = schema.get_root_type(kind)
    fields = {} if root is None else root.fields
    return {name: answers for name, field in fields.items() if (answers := _declared(field.extensions)) is not None}


def _declared(extensions: Mapping[str, Any]) -> AnswersBadToken | None:
    declared: AnswersBadToken | None = extensions[GraphQLCoreConverter.DEFINITION_BACKREF].metadata.get(
        ANSWERS_BAD_TOKEN
    )
    return declared
