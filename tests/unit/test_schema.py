"""Everything in the schema is described, and one query can select every field of a node."""

from collections.abc import Iterator
from itertools import combinations

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)

from resolvers.api import schema

SCHEMA = schema._schema
OWN = [type_ for name, type_ in SCHEMA.type_map.items() if not name.startswith("__")]

# Fields that conflict with a field of the same name and another type, each with the name to select instead.
ASKED_BESIDE = {
    "MediaUpload.status": "uploadStatus",
    "Export.status": "exportStatus",
    "PostNotification.post": "aboutPost",
}


def undescribed() -> Iterator[str]:
    """The coordinates of everything without a description, arguments and directives too."""
    for type_ in OWN:
        yield from [] if type_.description else [type_.name]
        match type_:
            case GraphQLObjectType() | GraphQLInterfaceType() | GraphQLInputObjectType():
                for name, field in type_.fields.items():
                    yield from [] if field.description else [f"{type_.name}.{name}"]
                    for argument, given in getattr(field, "args", {}).items():
                        yield from [] if given.description else [f"{type_.name}.{name}({argument}:)"]
            case GraphQLEnumType():
                yield from (f"{type_.name}.{name}" for name, value in type_.values.items() if not value.description)
    for directive in SCHEMA.directives:
        yield from [] if directive.description else [f"@{directive.name}"]
        yield from (f"@{directive.name}({name}:)" for name, given in directive.args.items() if not given.description)


def test_everything_has_a_description() -> None:
    assert list(undescribed()) == []


def objects(named: GraphQLNamedType) -> list[GraphQLObjectType]:
    """The object types that a value of a composite type may be of."""
    if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
        return list(SCHEMA.get_possible_types(named))
    return [named] if isinstance(named, GraphQLObjectType) else []


def conflicts(nodes: list[GraphQLObjectType]) -> set[str]:
    """Fields, as `Type.field, Type.field`, that one selection on any of these types cannot have together.

    That is GraphQL's rule on fields in set selection merging: same shape, whatever types they are of, all the way down.
    """
    pending, compared, conflicting = list(combinations(nodes, 2)), set[tuple[str, str]](), set[str]()
    while pending:
        first, second = sorted(pending.pop(), key=lambda each: each.name)
        if first is second or (first.name, second.name) in compared:
            continue
        compared.add((first.name, second.name))
        for name in first.fields.keys() & second.fields.keys():
            first_type, second_type = first.fields[name].type, second.fields[name].type
            first_named, second_named = get_named_type(first_type), get_named_type(second_type)
            is_same = str(first_type) == str(second_type)
            both = not is_leaf_type(first_named) and not is_leaf_type(second_named)
            if not is_same and (
                not both
                or str(first_type).replace(first_named.name, "") != str(second_type).replace(second_named.name, "")
            ):
                conflicting.add(f"{first.name}.{name}, {second.name}.{name}")
            elif both:
                pending += [(a, b) for a in objects(first_named) for b in objects(second_named)]
    return conflicting


def test_one_query_can_ask_everything_of_a_node_whatever_it_is() -> None:
    nodes = objects(SCHEMA.type_map["Node"])
    for conflict in conflicts(nodes):
        renamed = set(conflict.split(", ")) & set(ASKED_BESIDE)
        assert renamed, conflict
        for type_name, field in (name.split(".") for name in renamed):
            named = SCHEMA.type_map[type_name]
            assert isinstance(named, GraphQLObjectType)
            alias = ASKED_BESIDE[f"{type_name}.{field}"]
            assert str(named.fields[alias].type) == str(named.fields[field].type)
            assert not any(alias in node.fields for node in nodes if node is not named)


def test_the_viewer_is_a_node() -> None:
    viewer = SCHEMA.type_map["Viewer"]
    assert isinstance(viewer, GraphQLObjectType)
    assert [interface.name for interface in viewer.interfaces] == ["Node"]
