"""Every list in the schema says how long it can be."""

from collections.abc import Iterator

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_nullable_type,
    is_list_type,
)

from domain.limits import PAGE_SIZE_MAX
from resolvers.api import schema
from schema.field_metadata import max_items_of

Definition = GraphQLField | GraphQLArgument | GraphQLInputField


def lists() -> Iterator[tuple[str, Definition]]:
    """The coordinates of every list that is returned or given, but for the edges of connections, which are pages."""
    for one in schema._schema.type_map.values():
        if one.name.startswith("__"):
            continue
        if isinstance(one, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in one.fields.items():
                given = {f"{one.name}.{name}({key})": argument for key, argument in field.args.items()}
                yield from ((key, argument) for key, argument in given.items() if is_list(argument))
                if is_list(field) and not one.name.endswith("Connection"):
                    yield f"{one.name}.{name}", field
        if isinstance(one, GraphQLInputObjectType):
            yield from ((f"{one.name}.{name}", field) for name, field in one.fields.items() if is_list(field))


def is_list(definition: Definition) -> bool:
    return is_list_type(get_nullable_type(definition.type))


def test_every_list_declares_how_long_it_can_be_and_its_description_says_so() -> None:
    found = dict(lists())
    assert {"Post.images", "Image.renditions", "Viewer.sessions", "Query.nodes(ids)", "CreatePostInput.images"} <= set(
        found
    )
    for name, definition in found.items():
        bound = max_items_of(definition)
        assert bound is not None, name
        assert f"At most {bound}." in (definition.description or ""), name


def test_no_page_size_has_a_default_that_costs_do_not_know() -> None:
    types = schema._schema.type_map.values()
    fields = [field for one in types if isinstance(one, GraphQLObjectType) for field in one.fields.values()]
    sizes = [field.args[name] for field in fields for name in ("first", "last") if name in field.args]
    assert sizes
    assert all(size.default_value is None for size in sizes)
    assert all(str(PAGE_SIZE_MAX) in (size.description or "") for size in sizes)
