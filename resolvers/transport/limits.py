"""How large an operation may be: one pass over a document, linear in its text however its fragments multiply."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from domain.errors import RequestError, RequestErrorCode
from domain.limits import NODES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

ASSUMED_LIST = 3  # items in a list that is not a connection: images of a post, renditions of an image


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one operation may have, fragments expanded where it matters.

    `cost` counts the fields of the answer if every page is full; the others count what is written. Introspection
    has a budget of its own, enough for the tools' full query. `repeats` and `fragments` hold for the whole document:
    they are what makes validation quadratic.
    """

    tokens: int = 1_500
    depth: int = 15
    root_fields: int = 20
    fields: int = 1_000
    aliases: int = 100
    directives: int = 50
    introspection: int = 250
    cost: int = 20_000
    repeats: int = 50
    fragments: int = 60


@dataclass(frozen=True, slots=True)
class Size:
    """What a selection set comes to; `names` are variables that its cost hangs on."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    introspection: int = 0
    cost: int = 0
    names: frozenset[str] = frozenset()

    def __add__(self, other: "Size") -> "Size":
        return Size(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
            self.introspection + other.introspection,
            self.cost + other.cost,
            self.names | other.names,
        )


NOTHING = Size()


def too_complex(message: str) -> RequestError:
    return RequestError(RequestErrorCode.OPERATION_TOO_COMPLEX, message)


def check(size: Size, operation: OperationDefinitionNode, limits: Limits) -> None:
    """Raises RequestError (OPERATION_TOO_COMPLEX) that names the first limit the operation is over."""
    if len(operation.selection_set.selections) > limits.root_fields:
        raise too_complex(f"The operation has more than {limits.root_fields} root fields.")
    for limit in fields(Limits):
        allowed, found = getattr(limits, limit.name), getattr(size, limit.name, 0)
        if found > allowed:
            asked = str(found) if found < 10**9 else "too many"
            raise too_complex(f"The operation's {limit.name} is {asked}; at most {allowed} is allowed.")


def check_document(document: DocumentNode, limits: Limits) -> None:
    """Raises RequestError (OPERATION_TOO_COMPLEX) for a document that would take long to validate."""
    repeats = fragments = 0
    pending = [each.selection_set for each in document.definitions if isinstance(each, ExecutableDefinitionNode)]
    while pending:
        selections = pending.pop().selections
        names = [(each.alias or each.name).value for each in selections if isinstance(each, FieldNode)]
        repeats += len(names) - len(set(names))
        fragments += len(selections) - len(names)
        inner = [each.selection_set for each in selections if isinstance(each, FieldNode | InlineFragmentNode)]
        pending += [each for each in inner if each is not None]
    if repeats > limits.repeats:
        raise too_complex(f"The document asks for {repeats} fields twice; at most {limits.repeats} are allowed.")
    if fragments > limits.fragments:
        raise too_complex(f"The document uses {fragments} fragments; at most {limits.fragments} are allowed.")


class Measure:
    """Measures operations of one document with one set of variables.

    Each fragment is measured once, so the work is linear in the document. It may run before validation: unknown
    types, fields and fragments count as plain ones, and a cycle counts as nothing.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, Size] = {}
        self._defaults: dict[str, int] = {}

    def operation(self, node: OperationDefinitionNode) -> Size:
        """The operation's size. Raises RequestError (OPERATION_TOO_COMPLEX) for hopeless nesting."""
        defaults = {each.variable.name.value: each.default_value for each in node.variable_definitions or ()}
        self._defaults = {
            name: int(value.value[:6]) for name, value in defaults.items() if isinstance(value, IntValueNode)
        }
        try:
            size = self._selections(node.selection_set, self._schema.get_root_type(node.operation))
        except RecursionError:
            raise too_complex("The operation is nested too deeply.") from None
        return size + Size(directives=len(node.directives or ()))

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Size:
        size = NOTHING
        for selection in node.selections:
            size += self._selection(selection, parent)
        return size

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> Size:
        directives = Size(directives=len(node.directives or ()))
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

    def _fragment(self, name: str) -> Size:
        if name not in self._measured:
            self._measured[name] = NOTHING  # stops a cycle, which validation refuses
            fragment = self._fragments.get(name)
            if fragment is not None:
                on = self._schema.type_map.get(fragment.type_condition.name.value)
                self._measured[name] = self._selections(fragment.selection_set, on)
        return self._measured[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Size:
        name = node.name.value
        aliases = 0 if node.alias is None else 1
        definition = parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None
        if definition is None and name.startswith("__"):
            return self._introspection(node, aliases)
        inner, times, names = NOTHING, 1, frozenset[str]()
        if node.selection_set is not None:
            inner = self._selections(node.selection_set, get_named_type(definition.type) if definition else None)
            if definition is not None and parent is not None:
                times, names = self._times(node, definition, parent)
        return Size(
            1 + inner.depth,
            1 + inner.fields,
            aliases + inner.aliases,
            inner.directives,
            inner.introspection,
            1 + times * inner.cost,
            names | inner.names,
        )

    def _introspection(self, node: FieldNode, aliases: int) -> Size:
        if node.selection_set is None:
            return Size(aliases=aliases)  # __typename
        inner = self._selections(node.selection_set, None)
        return Size(
            aliases=aliases + inner.aliases,
            directives=inner.directives,
            introspection=1 + inner.fields,
            names=inner.names,
        )

    def _times(self, node: FieldNode, definition: GraphQLField, parent: GraphQLNamedType) -> tuple[int, frozenset[str]]:
        """How many times the field's selection may be answered, and the variables that say so."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "first" in definition.args or "last" in definition.args:
            value = given.get("first") or given.get("last")
            return self._page_size(value), _variable(value)
        if not _is_list(definition) or parent.name.endswith("Connection"):
            return 1, frozenset()  # a connection's edges were counted where the page was asked for
        if "ids" in definition.args:
            return self._length(given.get("ids")), _variable(given.get("ids"))
        return ASSUMED_LIST, frozenset()

    def _page_size(self, value: ValueNode | None) -> int:
        size: object = PAGE_SIZE_DEFAULT
        if isinstance(value, IntValueNode):
            size = int(value.value[:6])
        elif isinstance(value, VariableNode):
            name = value.name.value
            size = self._variables.get(name, self._defaults.get(name, PAGE_SIZE_MAX))
        return min(max(size, 1), PAGE_SIZE_MAX) if isinstance(size, int) else PAGE_SIZE_MAX

    def _length(self, value: ValueNode | None) -> int:
        if isinstance(value, ListValueNode):
            return min(len(value.values), NODES_MAX)
        if isinstance(value, VariableNode) and isinstance(ids := self._variables.get(value.name.value), list):
            return min(len(ids), NODES_MAX)
        return NODES_MAX


def _variable(value: ValueNode | None) -> frozenset[str]:
    return frozenset({value.name.value}) if isinstance(value, VariableNode) else frozenset()


def _is_list(definition: GraphQLField) -> bool:
    of = definition.type
    return isinstance(of.of_type if isinstance(of, GraphQLNonNull) else of, GraphQLList)
