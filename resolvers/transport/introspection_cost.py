"""Counts the fields that introspection answers, exactly, by walking the schema."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    StringValueNode,
    get_named_type,
    get_nullable_type,
    introspection_types,
    is_list_type,
)

from resolvers.transport.document_limits import too_complex
from resolvers.transport.fragments import fragments_of

STEPS_MAX = 100_000  # a tenth of a second; the tools' full query takes some ten thousand


class IntrospectionMeter:
    """Counts the fields of the answers to the introspection in one valid document."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._info: Any = SimpleNamespace(schema=schema)
        self._fragments = fragments_of(document)
        self._steps = 0

    def count(self, selections: SelectionSetNode) -> int:
        """The fields of introspection, deprecated ones too, in the answer to selections outside of it.

        `__type` by a variable counts as the largest type. Raises RequestError (OPERATION_TOO_COMPLEX) when it takes too
        long to count.
        """
        count = 0
        for field in self._fields(selections):
            if field.selection_set is None:
                continue
            if field.name.value == "__schema":
                count += 1 + self._answered(field.selection_set, "__Schema", self._schema)
            elif field.name.value == "__type":
                inner = [self._answered(field.selection_set, "__Type", each) for each in self._named(field)]
                count += 1 + max(inner, default=0)
            else:
                count += self.count(field.selection_set)
        return count

    def _answered(self, selections: SelectionSetNode, type_name: str, source: object) -> int:
        """The number of fields answered for one object of the schema."""
        shown = cast("GraphQLObjectType", introspection_types[type_name])
        count = 0
        for field in self._fields(selections):
            count += 1
            if field.selection_set is None:
                continue
            definition: Any = shown.fields[field.name.value]
            arguments = {"includeDeprecated": True} if "includeDeprecated" in definition.args else {}
            value = definition.resolve(source, self._info, **arguments)
            if value is not None:
                items = value if is_list_type(get_nullable_type(definition.type)) else [value]
                inner = get_named_type(definition.type).name
                count += sum(self._answered(field.selection_set, inner, item) for item in items)
        return count

    def _named(self, field: FieldNode) -> list[GraphQLNamedType]:
        """The types that a `__type` can answer."""
        types = self._schema.type_map
        name = next(argument.value for argument in field.arguments or () if argument.name.value == "name")
        if not isinstance(name, StringValueNode):
            return list(types.values())
        return [types[name.value]] if name.value in types else []

    def _fields(self, selections: SelectionSetNode) -> Iterator[FieldNode]:
        """The selected fields, with those of fragments; a field that is selected twice comes twice."""
        for selection in selections.selections:
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise too_complex("The operation asks for too much of the schema.")
            match selection:
                case FieldNode():
                    yield selection
                case FragmentSpreadNode():
                    yield from self._fields(self._fragments[selection.name.value].selection_set)
                case InlineFragmentNode():
                    yield from self._fields(selection.selection_set)
