"""How many times a field's selection is answered, by its arguments: page sizes, and lists of ids.

A cost depends on the variables only by its multipliers, so it can be cached by their values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import IntValueNode, ListValueNode, NullValueNode, ValueNode, VariableNode

from domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

Variables = Mapping[str, Any]
Arguments = Mapping[str, ValueNode]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, and its default page size; None for null, which is also every argument's default."""

    name: str
    default: int | None


@dataclass(frozen=True, slots=True)
class PageSize:
    """A page of a connection. Null counts as absent. `first` with `last` is refused, so either may count."""

    first: int | Variable | None
    last: int | Variable | None

    def times(self, variables: Variables) -> int:
        return max(_size(self.first, variables), _size(self.last, variables)) or PAGE_SIZE_DEFAULT


@dataclass(frozen=True, slots=True)
class Length:
    """A list in a variable, with one answer for each item. Other values count as a full list."""

    name: str
    max_items: int

    def times(self, variables: Variables) -> int:
        items = variables.get(self.name)
        return min(len(items), self.max_items) if isinstance(items, list) else self.max_items


Multiplier = PageSize | Length


def page_size(given: Arguments, defaults: Arguments) -> PageSize | int:
    """The page size that a connection's arguments ask for; `defaults` are those of the operation's variables."""
    page = PageSize(_argument(given.get("first"), defaults), _argument(given.get("last"), defaults))
    return page if isinstance(page.first, Variable) or isinstance(page.last, Variable) else page.times({})


def length(items: ValueNode | None, max_items: int) -> Length | int:
    """The length of a list argument."""
    if isinstance(items, VariableNode):
        return Length(items.name.value, max_items)
    return min(len(items.values), max_items) if isinstance(items, ListValueNode) else max_items


def _argument(value: ValueNode | None, defaults: Arguments) -> int | Variable | None:
    if isinstance(value, VariableNode):
        return Variable(value.name.value, _literal(defaults.get(value.name.value)))
    return _literal(value)


def _literal(value: ValueNode | None) -> int | None:
    """A number as written; other values, which are refused later, count as a full page."""
    match value:
        case None | NullValueNode():
            return None
        case IntValueNode():
            return int(value.value[:6])
        case _:
            return PAGE_SIZE_MAX


def _size(value: int | Variable | None, variables: Variables) -> int:
    """The page size, 0 for null; sizes out of range, which are refused later, count as the nearest one."""
    size: object = variables.get(value.name, value.default) if isinstance(value, Variable) else value
    if size is None:
        return 0
    if type(size) is not int or size > PAGE_SIZE_MAX:
        return PAGE_SIZE_MAX
    return max(1, size)
