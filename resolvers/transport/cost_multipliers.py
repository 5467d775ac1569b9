"""How many times the selection of a field is answered, where arguments say it: page sizes, and lists of ids.

What its multipliers come to is all that a cost takes from the variables, so it can be remembered by them.
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
    """A variable, and the page size where it is left out; None for null, which is also every argument's default."""

    name: str
    default: int | None


@dataclass(frozen=True, slots=True)
class PageSize:
    """A page of a connection. Null is as good as absent; `first` with `last` is refused, so either may count."""

    first: int | Variable | None
    last: int | Variable | None

    def times(self, variables: Variables) -> int:
        first = 0 if self.first is None else _size(self.first, variables)
        last = 0 if self.last is None else _size(self.last, variables)
        return (max(last, first)) or PAGE_SIZE_DEFAULT


@dataclass(frozen=True, slots=True)
class Length:
    """A list in a variable, one answer for each item; what is no list counts as a full one."""

    name: str
    max_items: int

    def times(self, variables: Variables) -> int:
        items = variables.get(self.name)
        return min(len(items), self.max_items) if isinstance(items, list) else self.max_items


Multiplier = PageSize | Length


def page_size(given: Arguments, defaults: Arguments) -> PageSize | int:
    """The page that the arguments of a connection ask for; `defaults` are those of the operation's variables."""
    page = PageSize(_argument(given.get("first"), defaults), _argument(given.get("last"), defaults))
    return page if isinstance(page.first, Variable) or isinstance(page.last, Variable) else page.times({})


def length(items: ValueNode | None, max_items: int) -> Length | int:
    """The length of a list that is given as an argument."""
    if isinstance(items, VariableNode):
        return Length(items.name.value, max_items)
    return min(len(items.values), max_items) if isinstance(items, ListValueNode) else max_items


def _argument(value: ValueNode | None, defaults: Arguments) -> int | Variable | None:
    if isinstance(value, VariableNode):
        return Variable(value.name.value, _literal(defaults.get(value.name.value)))
    return _literal(value)


def _literal(value: ValueNode | None) -> int | None:
    """A number as written; what does not fit, and is refused, as a full page."""
    match value:
        case None | NullValueNode():
            return None
        case IntValueNode():
            return int(value.value[:6])
        case _:
            return PAGE_SIZE_MAX


def _size(value: int | Variable, variables: Variables) -> int:
    """A size within what pages have, which others are refused for; 0 for null."""
    given: object = variables.get(value.name, value.default) if isinstance(value, Variable) else value
    if given is None:
        return 0
    if type(given) is not int or given > PAGE_SIZE_MAX:
        return PAGE_SIZE_MAX
    return max(1, given)
