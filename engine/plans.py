"""How a field may be resolved without the general call `field.resolve(source, info, **arguments)`.

A schema's owner knows more about a field than its resolver tells: that it only reads an attribute, that it needs no
info, or that it loads a record by a key. A `Planner` says so, and generated code does just that. A plan must give what
the field's resolver gives; without a plan the resolver itself is called.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from graphql import GraphQLField, GraphQLObjectType


@dataclass(frozen=True, slots=True)
class Attribute:
    """The source's attribute of this name. If there is none, the field has an error."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """The source's item with this key. If there is none, the field has an error."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class Compute:
    """A pure function of the source. It may be called more than once for a source."""

    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A function that is called with what it needs.

    `source` and `info` name the keyword arguments that take the field's source and its info; an empty name passes it by
    position, None not at all. `make_info` makes the info that the function expects of a resolver's. `convert` makes the
    function's keyword arguments of the field's coerced arguments, once for each operation and field.
    """

    function: Callable[..., Any]
    source: str | None = None
    info: str | None = None
    make_info: Callable[[Any], Any] | None = None
    convert: Callable[[dict[str, Any], Any], dict[str, Any]] | None = None


class Loader(Protocol):
    """Loads values by keys for one operation."""

    def batch(self, keys: Sequence[Any]) -> list[Any] | Awaitable[list[Any]]:
        """The values of these keys, in their order; an exception in the place of a value is that key's error.

        Keys may repeat. The answer is a list if all values are known already, else an awaitable.
        """


@dataclass(frozen=True, slots=True)
class Load:
    """A batch field: a value that a loader finds by a key. All keys of a level of the answer are loaded in one call.

    `key` names the attribute of the source that holds the key, or is its item; a source whose key is None has the value
    None. With `many` it holds several keys, and the field is the list of what they load, without None. `loader` finds
    the loader in the operation's context value, each time anew. `read` makes the field's value of the loaded one.
    """

    loader: Callable[[Any], Loader]
    key: str | Item
    many: bool = False
    read: Callable[[Any], Any] | None = None


Plan: TypeAlias = Attribute | Item | Compute | Call | Load


class Planner(Protocol):
    """What a schema's owner knows about its fields and types."""

    def __call__(self, parent_type: GraphQLObjectType, field_name: str, field: GraphQLField, /) -> Plan | None:
        """The plan of a field; None: call its resolver."""


class Classes(Protocol):
    """What a schema's owner knows about its object types."""

    def __call__(self, object_type: GraphQLObjectType, /) -> Sequence[type]:
        """Classes, of no mappings, each of whose direct instances the type's `is_type_of` accepts, whatever they hold.

        Where of an interface's or a union's types this one alone names a class, instances of it are of this type.
        """
