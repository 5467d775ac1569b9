"""The shape of an operation's answer: a tree of positions, with the fields selected at each.

The selection is merged by graphql-core's own `collect_fields`, with the values of the variables on which `@skip` and
`@include` depend. So a tree is good for operations with the same values of these.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    ObjectFieldNode,
    OperationDefinitionNode,
    VariableNode,
    is_abstract_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    specified_scalar_types,
)
from graphql.execution.collect_fields import (
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues

from engine.errors import Unsupported
from engine.plans import Plan, Planner

INTROSPECTION = ("__schema", "__type")
TYPENAME = "__typename"
DEPTH_MAX = 100  # levels of objects and lists: each is a call of a function in generated code


class Field:
    """A field selected on one object type, under one key of the answer."""

    __slots__ = (
        "constants",
        "definition",
        "details",
        "key",
        "name",
        "nodes",
        "number",
        "parent",
        "parent_type",
        "plan",
        "value",
    )

    def __init__(
        self,
        key: str,
        details: list[FieldDetails],
        parent_type: GraphQLObjectType,
        parent: "Position | None",
        definition: GraphQLField,
    ) -> None:
        self.key = key
        self.details = details
        self.nodes: list[FieldNode] = [each.node for each in details]
        self.name = self.nodes[0].name.value
        self.parent_type = parent_type
        self.parent = parent  # None: a root field
        self.definition = definition
        self.plan: Plan | None = None
        self.constants: dict[str, Any] | None = None  # its arguments, if they are the same in every run
        self.number = 0
        self.value: Position

    @property
    def is_typename(self) -> bool:
        return self.name == TYPENAME

    @property
    def has_variables(self) -> bool:
        """Whether its arguments may be wrong though the document is valid: null, where null may not be."""
        todo: list[Any] = list(self.nodes[0].arguments or ())
        while todo:
            node = todo.pop()
            if isinstance(node, VariableNode):
                return True
            todo += getattr(node, "fields", None) or getattr(node, "values", None) or ()
            todo += [node.value] if isinstance(node, ArgumentNode | ObjectFieldNode) else []
        return False

    @property
    def is_constant(self) -> bool:
        """Whether its arguments are the same in every run, and values that nobody can change."""
        if self.has_variables:
            return False
        types: list[Any] = [each.type for each in self.definition.args.values()]
        inner = [type_.of_type if is_non_null_type(type_) else type_ for type_ in types]
        return all(type_ in specified_scalar_types.values() or is_enum_type(type_) for type_ in inner)


class Position:
    """A place where the answer has a value: a field's, or an item's of a list.

    `up` is the position around it: the object's of a field, the list's of an item, None at the root. A position of an
    abstract type has a variant for each object type, which stands in its place.
    """

    __slots__ = (
        "by_class", "declared", "depth", "enum_names", "field", "fields", "function", "item", "kept", "known",
        "lasting", "nullable", "number", "template", "type", "typename", "up", "variants",
    )  # fmt: skip

    def __init__(self, field: Field, declared: GraphQLOutputType, up: "Position | None", typename: str | None) -> None:
        self.field = field
        self.declared = declared
        self.nullable = not isinstance(declared, GraphQLNonNull)
        self.type: Any = declared.of_type if isinstance(declared, GraphQLNonNull) else declared
        self.up = up
        self.depth: int = 1 if up is None else up.depth + 1
        self.typename = typename  # of the object that the last key of the path belongs to; None for an index
        self.number = 0
        self.item: Position | None = None
        self.fields: list[Field] = []
        self.variants: dict[str, Position] = {}
        self.by_class: dict[type, Position] = {}  # the variant of a value's class, where its owner names it
        self.known: set[type] = set()  # classes whose instances generated code completes without asking
        self.enum_names: dict[Any, str] = {}  # of the values seen here, all of one class
        self.function: Callable[..., Any]
        self.lasting: set[Field] = set()  # of an object of which something is kept: the fields that are kept
        self.kept: Any = None
        self.template: Callable[..., dict[str, Any]]


class Tree:
    """The positions of one operation. Raises Unsupported for too many or too deep ones, and for introspection."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: VariableValues,
        *,
        plan: Planner | None,
        max_fields: int,
    ) -> None:
        self._schema = schema
        self._fragments = {name: FragmentDetails(node) for name, node in fragments.items()}
        self._operation = operation
        self._variables = variables
        self._plan = plan
        self._max_fields = max_fields
        self.fields: list[Field] = []
        self.positions: list[Position] = []
        root_type = schema.get_root_type(operation.operation)
        if root_type is None:
            raise Unsupported("the schema has no such root type")
        collected = collect_fields(schema, self._fragments, variables, root_type, operation)
        self.root = self._fields(root_type, None, collected.grouped_field_set.items())

    def _fields(
        self, parent_type: GraphQLObjectType, parent: Position | None, grouped: Iterable[tuple[str, list[FieldDetails]]]
    ) -> list[Field]:
        fields = []
        for key, details in grouped:
            name = details[0].node.name.value
            definition = self._schema.get_field(parent_type, name)
            if definition is None:
                continue
            if name in INTROSPECTION:
                raise Unsupported("introspection")
            field = Field(key, details, parent_type, parent, definition)
            field.number = len(self.fields)
            self.fields.append(field)
            if len(self.fields) > self._max_fields:
                raise Unsupported(f"more than {self._max_fields} fields")
            if not field.is_typename and self._plan is not None:
                field.plan = self._plan(parent_type, name, definition)
            field.value = self._position(field, definition.type, parent, parent_type.name)
            fields.append(field)
        return fields

    def _position(
        self, field: Field, declared: GraphQLOutputType, up: Position | None, typename: str | None
    ) -> Position:
        position = self._numbered(Position(field, declared, up, typename))
        if is_list_type(position.type):
            position.item = self._position(field, position.type.of_type, position, None)
        elif is_object_type(position.type):
            self._select(position)
        elif is_abstract_type(position.type):
            for object_type in self._schema.get_possible_types(position.type):
                variant = self._numbered(Position(field, declared, up, typename))
                variant.type = object_type
                self._select(variant)
                position.variants[object_type.name] = variant
        return position

    def _numbered(self, position: Position) -> Position:
        if position.depth > DEPTH_MAX:
            raise Unsupported(f"more than {DEPTH_MAX} levels")
        if len(self.positions) >= 2 * self._max_fields:
            raise Unsupported(f"more than {2 * self._max_fields} positions")
        position.number = len(self.positions)
        self.positions.append(position)
        return position

    def _select(self, position: Position) -> None:
        collected = collect_subfields(
            self._schema, self._fragments, self._variables, self._operation, position.type, position.field.details
        )
        position.fields = self._fields(position.type, position, collected.grouped_field_set.items())
