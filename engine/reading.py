"""Code for the fields of an object: how those are read that need no resolver, and the dictionary of all."""

from collections.abc import Container, Iterable

from graphql import default_field_resolver, is_enum_type, is_leaf_type

from engine.names import EXPECTED, Names, attribute, indented
from engine.plans import Attribute, Compute, Item, Plan
from engine.positions import Field, Position

FLAT_FIELDS_MAX = 16  # of an object that is completed where it stands


def is_default(field: Field) -> bool:
    """Whether graphql-core's default resolver resolves it."""
    return field.plan is None and field.definition.resolve in (None, default_field_resolver)


def is_read(field: Field) -> bool:
    """Whether it is read with the others of its object, rather than called or loaded."""
    if field.is_typename or field.has_variables:
        return False
    return isinstance(field.plan, Attribute | Item | Compute) or is_default(field)


def reads(names: Names, fields: list[Field], source: str, *, known: str | None) -> list[str]:
    """Reads all fields, each into its variable `a<number>`; an exception takes the place of one that cannot be read.

    `known` is a test that the source's class is no mapping; None: it is not known.
    """
    if not any(is_default(field) for field in fields):
        return _attempts(names, fields, source)
    by_key = ["g = " + source + ".get", *_attempts(names, fields, source, "g")]
    lines = [f"if type({source}) is dict:", *indented(by_key)]
    if known is not None:
        lines += [f"elif {known}:", *indented(_attempts(names, fields, source))]
    targets = ", ".join(f"a{field.number}" for field in fields)
    given = ", ".join(names.field(field) for field in fields)
    return [*lines, "else:", f"    {targets}, = S.read(({given},), {source})"]


def callables(names: Names, field: Field, link: str) -> list[str]:
    """Calls what a default resolver calls. Where a class is expected of values, only those of others are asked."""
    if not is_default(field) or field.value.type in EXPECTED or is_enum_type(field.value.type):
        return []
    a = f"a{field.number}"
    return [f"if callable({a}):", f"    {a} = S.called({a}, {names.field(field)}, {link})"]


def _attempts(names: Names, fields: list[Field], source: str, getter: str | None = None) -> list[str]:
    """Reads each field once, whatever becomes of the others."""
    lines = []
    for field in fields:
        a = f"a{field.number}"
        lines.append(f"try: {a} = {read_expression(names, field, field.plan, source, getter)}")  # free on one line
        if is_default(field) and getter is None:  # to a default resolver, an attribute that is not there is null
            lines += ["except AttributeError:", f"    {a} = None"]
        lines += ["except Exception as e:", f"    {a} = e"]
    return lines


def read_expression(names: Names, field: Field, plan: Plan | None, source: str, getter: str | None = None) -> str:
    """What reads a value for a field as a plan says; without one as graphql-core's default resolver does."""
    match plan:
        case Attribute(name):
            return attribute(source, name)
        case Item(key):
            return f"{source}[{key!r}]" if type(key) in (str, int) else f"{source}[{names.of('Y', field.number, key)}]"
        case Compute(function):
            return f"{names.of('G', field.number, function)}({source})"
        case _:
            return attribute(source, field.name) if getter is None else f"{getter}({field.name!r})"


def guarded(fields: list[Field], lines: list[str]) -> list[str]:
    """Closes what was read, if one of the fields fails so that the others are given up."""
    values = [f"a{field.number}" for field in fields if is_read(field)]
    if not values or all(field.is_typename or field.value.nullable for field in fields):
        return lines
    return ["try:", *indented(lines), "except Bubble:", f"    close(({', '.join(values)},))", "    raise"]


def is_flat(position: Position) -> bool:
    """Whether it is an object of nothing but leaves that are read."""
    return (
        not is_leaf_type(position.type)
        and position.item is None
        and not position.variants
        and len(position.fields) <= FLAT_FIELDS_MAX
        and all(field.is_typename or (is_read(field) and is_leaf_type(field.value.type)) for field in position.fields)
    )


def dictionary(fields: Iterable[Field], known: Container[Field]) -> str:
    """The expression of an object's dictionary, with null in the place of fields whose values are not known yet."""
    return "{" + ", ".join(f"{field.key!r}: {value_of(field) if field in known else None}" for field in fields) + "}"


def value_of(field: Field) -> str:
    """The expression of a field's value, where it takes its place."""
    return repr(field.parent_type.name) if field.is_typename else f"a{field.number}"
