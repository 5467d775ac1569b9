"""Random plans for fields, each with a resolver that gives the same."""

import random
from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import Any

from graphql import GraphQLField, GraphQLNonNull, is_list_type

from engine import Attribute, Call, Compute, Item, Load, Plan
from tests.engine.random_cases.loads import LOADERS, boxed, loader_named, resolver_of
from tests.engine.random_cases.values import resolve_field


def random_plan(
    name: str, definition: GraphQLField, rng: random.Random, *, is_resolved: bool
) -> tuple[Plan, Callable[..., Any]]:
    """A plan and a resolver. What is not read from the source's attribute is `is_resolved`, or loaded."""
    if rng.random() < 0.5:
        load = _load(name, definition, rng)
        return load, resolver_of(load)
    if is_resolved:
        return _call(rng), resolve_field
    read: Any = rng.choice((attrgetter, itemgetter))(name)
    plans: list[Plan] = [Compute(read), Attribute(name) if isinstance(read, attrgetter) else Item(name)]
    return rng.choice(plans), _reader(read)


def _load(name: str, definition: GraphQLField, rng: random.Random) -> Load:
    kind = definition.type
    kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    return Load(
        loader_named(rng.choice(LOADERS[:3]) if rng.random() < 0.9 else "down"),
        rng.choice((f"key_{name}", f"key_{name}", Item(f"key_{name}"))),
        many=is_list_type(kind) and rng.random() < 0.7,
        read=boxed if rng.random() < 0.3 else None,
    )


def _call(rng: random.Random) -> Call:
    match rng.randrange(3):
        case 0:
            return Call(resolve_field, source="", info="")
        case 1:
            return Call(_by_keyword, source="parent", info="told")
        case _:
            return Call(_by_keyword, source="parent", info="told", make_info=lambda info: info, convert=_converted)


def _by_keyword(*, parent: Any, told: Any, **arguments: object) -> object:
    return resolve_field(parent, told, **arguments)


def _converted(arguments: dict[str, Any], info: Any) -> dict[str, Any]:
    return dict(arguments)


def _reader(read: Callable[[Any], Any]) -> Callable[..., Any]:
    def resolve(source: Any, info: Any, **_: object) -> Any:
        return read(source)

    return resolve
