"""The names that generated code uses for objects of the compiler, and small pieces of Python source."""

import asyncio
from keyword import iskeyword
from types import CoroutineType
from typing import Any

from graphql import GraphQLBoolean, GraphQLFloat, GraphQLID, GraphQLInt, GraphQLString
from graphql.pyutils import Undefined

from engine.errors import Bubble
from engine.positions import Field, Position
from engine.resolve_info import Info
from engine.waiting import close

# A value of exactly this class, and in this range, is its own result.
EXPECTED = {
    GraphQLString: "type({v}) is str",
    GraphQLID: "type({v}) is str",
    GraphQLBoolean: "type({v}) is bool",
    GraphQLInt: "type({v}) is int and -2147483648 <= {v} <= 2147483647",
    GraphQLFloat: "type({v}) is float and {v} - {v} == 0.0",  # neither infinite nor not a number
}
AWAITABLES = frozenset({CoroutineType, asyncio.Future, asyncio.Task})


class Names:
    """The global names of generated code."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = {
            "AWAITABLES": AWAITABLES,
            "Bubble": Bubble,
            "Info": Info,
            "Undefined": Undefined,
            "close": close,
        }

    def of(self, prefix: str, number: int, value: Any) -> str:
        """A name for a value; a prefix has one meaning, the number is a position's or a field's."""
        name = f"{prefix}{number}"
        self.all[name] = value
        return name

    def position(self, position: Position) -> str:
        return self.of("P", position.number, position)

    def field(self, field: Field) -> str:
        return self.of("F", field.number, field)


def indented(lines: list[str], times: int = 1) -> list[str]:
    """These lines, so many levels deeper."""
    return ["    " * times + line for line in lines]


def attribute(source: str, name: str) -> str:
    """An expression that reads an attribute."""
    return f"{source}.{name}" if name.isidentifier() and not iskeyword(name) else f"getattr({source}, {name!r})"


def expected(position: Position, value: str) -> str:
    """A test that a value of a built-in scalar is its own result; true of null where null may be."""
    test = EXPECTED[position.type].format(v=value)
    return f"({value} is None or {test})" if position.nullable else f"({test})"
