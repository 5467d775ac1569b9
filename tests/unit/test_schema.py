"""The schema as a manual, and as something that one query can ask everything of."""

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
OWN = [one for name, one in SCHEMA.type_map.items() if not name.startswith("__")]

# Fields that cannot stand beside a field of the same name, which is of another type: by what name they can.
ASKED_BESIDE = {"MediaUpload.status": "uploadStatus", "PostNotification.post": "aboutPost"}


def undescribed() -> Iterator[str]:
    """The coordinates of everything without a description, arguments and directives too."""
    for one in OWN:
        yield from [] if one.description else [one.name]
        match one:
            case GraphQLObjectType() | GraphQLInterfaceType() | GraphQLInputObjectType():
                for name, field in one.fields.items():
                    yield from [] if field.description else [f"{one.name}.{name}"]
                    for argument, given in getattr(field, "args", {}).items():
                        yield from [] if given.description else [f"{one.name}.{name}({argument}:)"]
            case GraphQLEnumType():
                yield from (f"{one.name}.{name}" for name, value in one.values.items() if not value.description)
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
    pending, looked_at, found = list(combinations(nodes, 2)), set[tuple[str, str]](), set[str]()
    while pending:
        one, other = sorted(pending.pop(), key=lambda each: each.name)
        if one is other or (one.name, other.name) in looked_at:
            continue
        looked_at.add((one.name, other.name))
        for name in one.fields.keys() & other.fields.keys():
            mine, theirs = one.fields[name].type, other.fields[name].type
            inner, others = get_named_type(mine), get_named_type(theirs)
            is_same = str(mine) == str(theirs)
            both = not is_leaf_type(inner) and not is_leaf_type(others)
            if not is_same and (not both or str(mine).replace(inner.name, "") != str(theirs).replace(others.name, "")):
                found.add(f"{one.name}.{name}, {other.name}.{name}")
            elif both:
                pending += [(a, b) for a in objects(inner) for b in objects(others)]
    return found


def test_one_query_can_ask_everything_of_a_node_whatever_it_is() -> None:
    nodes = objects(SCHEMA.type_map["Node"])
    for conflict in conflicts(nodes):
        (renamed,) = set(conflict.split(", ")) & set(ASKED_BESIDE)
        type_name, field = renamed.split(".")
        named = SCHEMA.type_map[type_name]
        assert isinstance(named, GraphQLObjectType)
        alias = ASKED_BESIDE[renamed]
        assert str(named.fields[alias].type) == str(named.fields[field].type)
        assert not any(alias in one.fields for one in nodes if one is not named)


def test_the_viewer_is_a_node() -> None:
    viewer = SCHEMA.type_map["Viewer"]
    assert isinstance(viewer, GraphQLObjectType)
    assert [one.name for one in viewer.interfaces] == ["Node"]
