"""Walking the schema: which fields lead to objects, what to ask of them, and whom an answer shows where."""

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    get_named_type,
)

from resolvers.api import schema
from tests.integration.visibility.facts import Gid, Seen

TYPES: dict[str, GraphQLNamedType] = schema._schema.type_map
NODE = TYPES["Node"]
THROUGH = {"edges", "node"}  # of connections and edges


def _leading() -> set[str]:
    """The types that are objects with an id or have a field that leads to one."""
    composite = [one for one in TYPES.values() if isinstance(one, GraphQLObjectType | GraphQLInterfaceType)]
    found = {one.name for one in composite if is_node(one)}
    while more := {
        one.name
        for one in composite
        if one.name not in found and any(get_named_type(field.type).name in found for field in one.fields.values())
    }:
        found |= more
    return found


def is_node(named: GraphQLNamedType) -> bool:
    """Whether a type's objects have global ids."""
    return named is NODE or (isinstance(named, GraphQLObjectType | GraphQLInterfaceType) and NODE in named.interfaces)


LEADING = _leading()
NODES = [one for one in TYPES.values() if isinstance(one, GraphQLObjectType) and is_node(one)]


def leading_fields(named: GraphQLNamedType) -> Iterator[tuple[str, GraphQLNamedType]]:
    """The fields of a type that lead to objects, and where to."""
    assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
    for name, field in named.fields.items():
        target = get_named_type(field.type)
        if target.name in LEADING:
            yield name, target


def ways_out() -> set[str]:
    """The coordinates of every field of every type that leads to objects, but for a connection's own."""
    types = [one for one in TYPES.values() if isinstance(one, GraphQLObjectType) and not one.name.startswith("__")]
    return {
        f"{one.name}.{name}"
        for one in types
        for name, _ in leading_fields(one)
        if not (one.name.endswith(("Connection", "Edge")) and name in THROUGH)
    }


def ways_in() -> set[str]:
    """The coordinates of every place where a client gives an id: arguments and fields of inputs."""
    found = set()
    for one in TYPES.values():
        if isinstance(one, GraphQLInputObjectType):
            found |= {f"{one.name}.{name}" for name, field in one.fields.items() if _is_id(field.type)}
        if isinstance(one, GraphQLObjectType) and not one.name.startswith("__"):
            for name, field in one.fields.items():
                found |= {f"{one.name}.{name}({key})" for key, given in field.args.items() if _is_id(given.type)}
    return found


def counts() -> set[str]:
    """The coordinates of every field that says how many there are of something."""
    types = [one for one in TYPES.values() if isinstance(one, GraphQLObjectType) and not one.name.startswith("__")]
    numbers = [(f"{one.name}.{name}", field) for one in types for name, field in one.fields.items()]
    return {name for name, field in numbers if name.lower().endswith("count") and _is_number(field.type)}


def _is_number(given: Any) -> bool:
    return str(get_named_type(given)) == "Int"


def _is_id(given: Any) -> bool:
    return str(get_named_type(given)) == "ID"


def selection(named: GraphQLNamedType) -> str:
    """What to select of a field so that the ids of all objects it leads to come, but nothing beyond those."""
    return "__typename id" if is_node(named) else fields(named)


def fields(named: GraphQLNamedType) -> str:
    """Every leading field of a type; connections from their start. Renamed, for types have fields of one name."""
    asked = []
    for name, target in leading_fields(named):
        assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
        first = "(first: 50)" if "first" in named.fields[name].args else ""
        asked.append(f"{named.name}_{name}: {name}{first} {{ {selection(target)} }}")
    return " ".join(asked)


def everything_about(named: GraphQLNamedType) -> str:
    """The id and every leading field of an object of this type, or of whatever type it is."""
    types = [one for one in NODES if one is named or named in one.interfaces]
    spreads = [f"... on {one.name} {{ {fields(one)} }}" for one in types if fields(one)]
    return "__typename id " + " ".join(spreads)


def gather(named: GraphQLNamedType, value: dict[str, Any], source: Gid, seen: Seen) -> None:
    """Adds to `seen` what each leading field of an answer shows."""
    for name, target in leading_fields(named):
        key = f"{named.name}_{name}"
        if key in value:
            is_through = named.name.endswith(("Connection", "Edge")) and name in THROUGH
            _gather_field("" if is_through else f"{named.name}.{name}", target, value[key], source, seen)


def _gather_field(coordinate: str, target: GraphQLNamedType, value: Any, source: Gid, seen: Seen) -> None:
    if coordinate:
        seen.setdefault((coordinate, source), [])
    for one in value if isinstance(value, list) else [value]:
        if one is None:
            continue
        if coordinate:
            seen[coordinate, source].extend(_ids(target, one))
        if not is_node(target):
            gather(target, one, source, seen)


def _ids(named: GraphQLNamedType, value: dict[str, Any]) -> list[Gid]:
    """The ids that an answer holds, however deep."""
    if is_node(named):
        return [value["id"]]
    found = []
    for name, target in leading_fields(named):
        inside = value.get(f"{named.name}_{name}")
        for one in inside if isinstance(inside, list) else [inside]:
            found += [] if one is None else _ids(target, one)
    return found
