"""Refuses lists in variables that are far too long, before anything else reads them.

The schema declares the limit of a list beside the argument or the input field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from domain.errors import BadInput
from domain.limits import LIST_TOLERANCE
from resolvers.transport.fragments import fragments_of
from schema.field_metadata import max_items_of

Place = GraphQLArgument | GraphQLInputField


@dataclass(frozen=True, slots=True)
class ValueLimits:
    """The limits in a value: of its own length if it is a list, and of the fields of its objects."""

    max_items: int | None
    fields: "dict[str, ValueLimits]"

    @classmethod
    def of(cls, place: Place) -> "ValueLimits":
        """The limits in the value of an argument or an input field."""
        named = get_named_type(place.type)
        inner = named.fields if isinstance(named, GraphQLInputObjectType) else {}
        limits = {name: cls.of(field) for name, field in inner.items()}
        return cls(max_items_of(place), {name: limit for name, limit in limits.items() if limit})

    def __bool__(self) -> bool:
        return self.max_items is not None or bool(self.fields)

    def check(self, value: object, name: str) -> None:
        """Raises BadInput for a list that is far too long."""
        items = value if isinstance(value, list) else [value]
        if value is items and self.max_items is not None and len(items) > LIST_TOLERANCE * self.max_items:
            raise BadInput(f"{name} has {len(items):,} items; at most {self.max_items:,} are allowed.")
        for item in items:
            if isinstance(item, dict):
                for key, limits in self.fields.items():
                    if key in item:
                        limits.check(item[key], f"{name}.{key}")


class VariableLimitsReader:
    """Finds out where an operation of a valid document uses its variables. Each operation needs a new reader."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = fragments_of(document)
        self._entered: set[str] = set()
        self._limits: list[tuple[str, ValueLimits]] = []

    def operation(self, node: OperationDefinitionNode) -> Sequence[tuple[str, ValueLimits]]:
        """The limits in an operation's variables, with the variables' names."""
        self._selections(node.selection_set, self._schema.get_root_type(node.operation))
        return self._limits

    def _selections(self, node: SelectionSetNode, parent: Any) -> None:
        for selection in node.selections:
            match selection:
                case FieldNode():
                    self._field(selection, parent)
                case InlineFragmentNode():
                    on = selection.type_condition
                    self._selections(selection.selection_set, self._schema.type_map[on.name.value] if on else parent)
                case FragmentSpreadNode() if selection.name.value not in self._entered:
                    self._entered.add(selection.name.value)
                    fragment = self._fragments[selection.name.value]
                    self._selections(fragment.selection_set, self._schema.type_map[fragment.type_condition.name.value])

    def _field(self, node: FieldNode, parent: Any) -> None:
        definition = cast("GraphQLField", self._schema.get_field(parent, node.name.value))
        for argument in node.arguments or ():
            self._value(argument.value, definition.args[argument.name.value])
        if node.selection_set is not None:
            self._selections(node.selection_set, get_named_type(definition.type))

    def _value(self, node: ValueNode, place: Place) -> None:
        match node:
            case VariableNode():
                if limits := ValueLimits.of(place):
                    self._limits.append((node.name.value, limits))
            case ListValueNode():
                for item in node.values:
                    self._value(item, place)
            case ObjectValueNode():
                inner = cast("GraphQLInputObjectType", get_named_type(place.type))
                for field in node.fields:
                    self._value(field.value, inner.fields[field.name.value])
