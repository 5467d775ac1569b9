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
    for type_ in schema._schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                given = {f"{type_.name}.{name}({key})": argument for key, argument in field.args.items()}
                yield from ((key, argument) for key, argument in given.items() if is_list(argument))
                if is_list(field) and not type_.name.endswith("Connection"):
                    yield f"{type_.name}.{name}", field
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{type_.name}.{name}", field) for name, field in type_.fields.items() if is_list(field))


def is_list(definition: Definition) -> bool:
    return is_list_type(get_nullable_type(definition.type))


def test_every_list_declares_how_long_it_can_be_and_its_description_says_so() -> None:
    definitions = dict(lists())
    assert {"Post.images", "Image.renditions", "Viewer.sessions", "Query.nodes(ids)", "CreatePostInput.images"} <= set(
        definitions
    )
    for name, definition in definitions.items():
        bound = max_items_of(definition)
        assert bound is not None, name
        assert f"At most {bound}." in (definition.description or ""), name


def test_no_page_size_has_a_default_that_costs_do_not_know() -> None:
    types = schema._schema.type_map.values()
    fields = [field for type_ in types if isinstance(type_, GraphQLObjectType) for field in type_.fields.values()]
    sizes = [field.args[name] for field in fields for name in ("first", "last") if name in field.args]
    assert sizes
    assert all(size.default_value is None for size in sizes)
    assert all(str(PAGE_SIZE_MAX) in (size.description or "") for size in sizes)
