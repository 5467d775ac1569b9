"""The fields of the schema that lead to objects, selections of all of them, and the ids in their answers."""

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
)

from resolvers.api import schema
from tests.integration.visibility.scene import Gid, Shown

TYPES: dict[str, GraphQLNamedType] = schema._schema.type_map
NODE = TYPES["Node"]
PAGE_FIELDS = {"edges", "node"}  # of connections and edges


def _leading() -> set[str]:
    """The types whose objects have an id, or have a field that leads to such an object."""
    composite = [type_ for type_ in TYPES.values() if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)]
    names = {type_.name for type_ in TYPES.values() if is_node(type_)}
    while more := {
        type_.name
        for type_ in composite
        if type_.name not in names and any(get_named_type(field.type).name in names for field in type_.fields.values())
    }:
        names |= more
    return names


def is_node(named: GraphQLNamedType) -> bool:
    """Whether the objects of a type, or of each type of a union, have global ids."""
    if isinstance(named, GraphQLUnionType):
        return all(is_node(each) for each in named.types)
    return named is NODE or (isinstance(named, GraphQLObjectType | GraphQLInterfaceType) and NODE in named.interfaces)


LEADING_TYPES = _leading()
NODE_TYPES = [type_ for type_ in TYPES.values() if isinstance(type_, GraphQLObjectType) and is_node(type_)]


def leading_fields(named: GraphQLNamedType) -> Iterator[tuple[str, GraphQLNamedType]]:
    """The fields of a type that lead to objects, each with its type."""
    assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
    for name, field in named.fields.items():
        target = get_named_type(field.type)
        if target.name in LEADING_TYPES:
            yield name, target


def fields_that_show_objects() -> set[str]:
    """The coordinates of all fields that lead to objects, without those of connections and edges."""
    types = [
        type_ for type_ in TYPES.values() if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__")
    ]
    return {
        f"{type_.name}.{name}"
        for type_ in types
        for name, _ in leading_fields(type_)
        if not (type_.name.endswith(("Connection", "Edge")) and name in PAGE_FIELDS)
    }


def inputs_that_take_ids() -> set[str]:
    """The coordinates of all arguments and input fields that take an id."""
    coordinates = set()
    for type_ in TYPES.values():
        if isinstance(type_, GraphQLInputObjectType):
            coordinates |= {f"{type_.name}.{name}" for name, field in type_.fields.items() if _is_id(field.type)}
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                coordinates |= {
                    f"{type_.name}.{name}({key})" for key, given in field.args.items() if _is_id(given.type)
                }
    return coordinates


def fields_that_count() -> set[str]:
    """The coordinates of all fields that count something."""
    types = [
        type_ for type_ in TYPES.values() if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__")
    ]
    numbers = [(f"{type_.name}.{name}", field) for type_ in types for name, field in type_.fields.items()]
    return {name for name, field in numbers if name.lower().endswith("count") and _is_number(field.type)}


def _is_number(given: Any) -> bool:
    return str(get_named_type(given)) == "Int"


def _is_id(given: Any) -> bool:
    return str(get_named_type(given)) == "ID"


def select_ids(named: GraphQLNamedType) -> str:
    """The selection of a field of this type that gives the ids of the objects that it leads to, and no more."""
    if isinstance(named, GraphQLUnionType):
        return "__typename ... on Node { id }"
    return "__typename id" if is_node(named) else select_leading_fields(named)


def select_leading_fields(named: GraphQLNamedType) -> str:
    """Selects every leading field of a type, connections from their start. Aliases tell types apart."""
    selections = []
    for name, target in leading_fields(named):
        assert isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
        first = "(first: 50)" if "first" in named.fields[name].args else ""
        selections.append(f"{named.name}_{name}: {name}{first} {{ {select_ids(target)} }}")
    return " ".join(selections)


def select_everything(named: GraphQLNamedType) -> str:
    """Selects the id and every leading field of an object of this type, or of the types that implement it."""
    types = [type_ for type_ in NODE_TYPES if type_ is named or named in type_.interfaces]
    spreads = [
        f"... on {type_.name} {{ {select_leading_fields(type_)} }}" for type_ in types if select_leading_fields(type_)
    ]
    return "__typename id " + " ".join(spreads)


def collect_shown(named: GraphQLNamedType, value: dict[str, Any], source: Gid, shown: Shown) -> None:
    """Adds to `shown` the ids that each leading field of an answer shows."""
    for name, target in leading_fields(named):
        key = f"{named.name}_{name}"
        if key in value:
            is_page_field = named.name.endswith(("Connection", "Edge")) and name in PAGE_FIELDS
            _collect_field("" if is_page_field else f"{named.name}.{name}", target, value[key], source, shown)


def _collect_field(coordinate: str, target: GraphQLNamedType, value: Any, source: Gid, shown: Shown) -> None:
    if coordinate:
        shown.setdefault((coordinate, source), [])
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        if coordinate:
            shown[coordinate, source].extend(ids_in(target, item))
        if not is_node(target):
            collect_shown(target, item, source, shown)


def ids_in(named: GraphQLNamedType, value: dict[str, Any]) -> list[Gid]:
    """The ids in an answer, at any depth."""
    if is_node(named):
        return [value["id"]]
    ids = []
    for name, target in leading_fields(named):
        inside = value.get(f"{named.name}_{name}")
        for item in inside if isinstance(inside, list) else [inside]:
            ids += [] if item is None else ids_in(target, item)
    return ids
