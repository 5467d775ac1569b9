"""Measures operations in one pass over a document, linear in its text, however often fragments are used."""

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from domain.limits import PAGE_SIZE_MAX
from resolvers.transport.cost_multipliers import Multiplier, Variables, length, page_size
from resolvers.transport.document_limits import NOTHING, OperationSize, too_complex
from resolvers.transport.fragments import fragments_of
from schema.field_metadata import max_items_of, price_of


class OperationMeter:
    """Measures operations of one document with one set of variables.

    Each fragment is measured once, so the work is linear in the document. It may run before validation: unknown types,
    fields and fragments count as plain ones, and a cycle of fragments counts as nothing.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Variables) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = fragments_of(document)
        self._measured: dict[str, OperationSize] = {}
        self._defaults: dict[str, ValueNode] = {}

    def operation(self, node: OperationDefinitionNode) -> OperationSize:
        """The operation's size. Raises RequestError (OPERATION_TOO_COMPLEX) for too deep nesting."""
        self._defaults = {
            each.variable.name.value: each.default_value
            for each in node.variable_definitions or ()
            if each.default_value is not None
        }
        try:
            size = self._selections(node.selection_set, self._schema.get_root_type(node.operation))
        except RecursionError:
            raise too_complex("The operation is nested too deeply.") from None
        return size + OperationSize(directives=len(node.directives or ()))

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> OperationSize:
        size = NOTHING
        for selection in node.selections:
            size += self._selection(selection, parent)
        return size

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> OperationSize:
        directives = OperationSize(directives=len(node.directives or ()))
        match node:
            case FieldNode():
                return directives + self._field(node, parent)
            case FragmentSpreadNode():
                return directives + self._fragment(node.name.value)
            case InlineFragmentNode():
                condition = node.type_condition
                inner = self._schema.type_map.get(condition.name.value) if condition else parent
                return directives + self._selections(node.selection_set, inner)
            case _:
                return directives

    def _fragment(self, name: str) -> OperationSize:
        if name not in self._measured:
            self._measured[name] = NOTHING  # stops a cycle, which validation refuses
            fragment = self._fragments.get(name)
            if fragment is not None:
                on = self._schema.type_map.get(fragment.type_condition.name.value)
                self._measured[name] = self._selections(fragment.selection_set, on)
        return self._measured[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> OperationSize:
        name = node.name.value
        aliases = 0 if node.alias is None else 1
        definition = parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None
        if definition is None and name.startswith("__"):
            return self._introspection(node, aliases)
        inner, times, multipliers = NOTHING, 1, frozenset[Multiplier]()
        if node.selection_set is not None:
            inner = self._selections(node.selection_set, get_named_type(definition.type) if definition else None)
            if definition is not None and parent is not None:
                times, multipliers = self._times(node, definition, parent)
        return OperationSize(
            1 + inner.depth,
            1 + inner.fields,
            aliases + inner.aliases,
            inner.directives,
            inner.introspection,
            1 + (price_of(definition) if definition else 0) + times * inner.cost,
            multipliers | inner.multipliers,
        )

    def _introspection(self, node: FieldNode, aliases: int) -> OperationSize:
        """The size as written; what introspection answers is counted later, for a valid document."""
        if node.selection_set is None:
            return OperationSize(aliases=aliases, cost=1)  # __typename
        inner = self._selections(node.selection_set, None)
        return OperationSize(
            aliases=aliases + inner.aliases, directives=inner.directives, introspection=1 + inner.fields
        )

    def _times(
        self, node: FieldNode, definition: GraphQLField, parent: GraphQLNamedType
    ) -> tuple[int, frozenset[Multiplier]]:
        """How many times the field's selection can be answered, and the factors that depend on variables."""
        arguments = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "first" in definition.args or "last" in definition.args:
            return self._resolved(page_size(arguments, self._defaults))
        if not is_list_type(get_nullable_type(definition.type)) or parent.name.endswith("Connection"):
            return 1, frozenset()  # a connection's edges are counted by the page size
        max_items = max_items_of(definition) or PAGE_SIZE_MAX
        return self._resolved(length(arguments["ids"], max_items) if "ids" in arguments else max_items)

    def _resolved(self, multiplier: Multiplier | int) -> tuple[int, frozenset[Multiplier]]:
        if isinstance(multiplier, int):
            return multiplier, frozenset()
        return multiplier.times(self._variables), frozenset({multiplier})
