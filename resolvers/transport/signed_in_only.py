"""Which operations are for signed-in viewers only, and which scopes of an access token they need.

For others they are refused before anything else is checked.
"""

from typing import cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
)

from domain.access_scopes import Needs
from resolvers.transport.fragments import fragments_of
from schema.field_metadata import needs_session, scope_of


def is_private(schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> bool:
    """Whether every root field of an operation of a valid document needs a session.

    With a public one among them something can be answered, and `login` may open a session for the others.
    """
    root = cast("GraphQLObjectType", schema.get_root_type(node.operation))
    names = root_fields(document, node) - {"__typename"}
    return bool(names) and all(name in root.fields and needs_session(root.fields[name]) for name in names)


def needed_scopes(schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> Needs:
    """What the root fields of an operation of a valid document need of a personal access token."""
    root = cast("GraphQLObjectType", schema.get_root_type(node.operation))
    return frozenset(scope_of(root.fields[name]) for name in root_fields(document, node) if name in root.fields)


def root_fields(document: DocumentNode, node: OperationDefinitionNode) -> set[str]:
    """The names of the root fields of an operation of a valid document, with those of its fragments."""
    fragments = fragments_of(document)
    names: set[str] = set()
    spread: set[str] = set()
    pending = [node.selection_set]
    while pending:
        for selection in pending.pop().selections:
            match selection:
                case FieldNode():
                    names.add(selection.name.value)
                case InlineFragmentNode():
                    pending.append(selection.selection_set)
                case FragmentSpreadNode() if selection.name.value not in spread:
                    spread.add(selection.name.value)
                    pending.append(fragments[selection.name.value].selection_set)
    return names
