"""Random GraphQL schemas: SDL from a seed, with resolvers, enum values, scalars and type resolvers attached."""

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
)

from engine import Plan
from tests.engine.random_cases.planning import random_plan
from tests.engine.random_cases.values import Slow, number_of, resolve_field, resolve_is_type_of, resolve_type

LEAVES = ("Int", "Int", "Float", "String", "String", "Boolean", "ID", "Colour", "Json", "Fussy")
WRAPPERS = ("{}", "{}", "{}", "{}!", "{}!", "[{}]", "[{}!]", "[{}]!", "[{}!]!", "[[{}]]", "[[{}!]!]!", "[[{}!]]")
COMPOSITE_WRAPPERS = ("{}", "{}", "{}", "{}!", "{}!", "[{}]", "[{}!]", "[{}!]!", "[[{}]!]")
ARGUMENTS = (
    "n: Int",
    "n: Int = 3",
    "n: Int!",
    's: String = "a b"',
    "c: Colour",
    "c: Colour! = RED",
    "cs: [Colour!] = [RED, BLUE]",
    "ids: [ID]",
    "grid: [[Int!]]",
    "where: Where",
    'where: Where = {flag: true, tags: ["x"]}',
    "wheres: [Where!]",
    "pick: Pick",
    "j: Json",
    "b: Boolean!",
    "f: Float",
)
INPUTS = """
input Where { n: Int = 7 flag: Boolean colour: Colour! = BLUE tags: [String!] inner: Where
  inners: [Where!] = [] j: Json }
input Pick @oneOf { n: Int s: String where: Where }
enum Colour { RED GREEN BLUE }
scalar Json
scalar Fussy
"""


class Colour(enum.Enum):
    GREEN = "g"


COLOURS: dict[str, object] = {"RED": 1, "GREEN": Colour.GREEN, "BLUE": "b"}
"""The internal values: a number, a member of a Python enum and a string that is no name."""


@dataclass(frozen=True, slots=True)
class CaseSchema:
    """A schema and how its fields are resolved."""

    schema: GraphQLSchema
    sdl: str
    resolved: frozenset[tuple[str, str]]
    """The fields with a resolver; the others are read from their source."""
    typed_by: dict[str, str] = field(default_factory=dict)
    """How the type of an abstract value is found: by `default`, or a function that is `sync` or `async`."""
    checked: dict[str, str] = field(default_factory=dict)
    """Object types with an is_type_of function, `sync` or `async`."""
    plans: dict[tuple[str, str], Plan] = field(default_factory=dict)
    """What the engine is told of fields, all of which have a resolver that does the same."""

    def plan(self, parent_type: GraphQLObjectType, field_name: str, _: GraphQLField) -> Plan | None:
        return self.plans.get((parent_type.name, field_name))


def random_schema(rng: random.Random) -> CaseSchema:
    """A valid schema with queries, mutations and subscriptions; the same for the same state of `rng`."""
    sdl = _Text(rng).sdl()
    schema = build_schema(sdl, assume_valid_sdl=True)
    case = CaseSchema(schema, sdl, frozenset(_resolved(schema, rng)))
    _attach(case, rng)
    return case


class _Text:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.objects = [f"T{i}" for i in range(rng.randrange(2, 6))]
        self.interfaces = [f"I{i}" for i in range(rng.randrange(1, 4))]
        self.unions = [f"U{i}" for i in range(rng.randrange(1, 3))]
        self.names = 0

    def sdl(self) -> str:
        rng = self.rng
        fields = {name: self.fields(rng.randrange(1, 4), composites=1) for name in self.interfaces}
        parents: dict[str, list[str]] = {name: [] for name in self.interfaces}
        for index, name in enumerate(self.interfaces[1:], 1):  # an interface may implement an earlier one
            if rng.random() < 0.4:
                parent = rng.choice(self.interfaces[:index])
                parents[name] = [parent, *parents[parent]]
                for ancestor in parents[name]:
                    fields[name] |= fields[ancestor]
        parts = [INPUTS]
        parts += [_definition("interface", name, parents[name], fields[name]) for name in self.interfaces]
        for index, name in enumerate(self.objects):
            chosen = [each for each in self.interfaces if rng.random() < 0.45 or (index == 0)]
            implemented = list(dict.fromkeys(each for own in chosen for each in (own, *parents[own])))
            inherited = {key: self.narrower(text) for each in implemented for key, text in fields[each].items()}
            parts.append(_definition("type", name, implemented, inherited | self.fields(4, composites=2)))
        for name in self.unions:
            members = rng.sample(self.objects, rng.randrange(1, len(self.objects) + 1))
            parts.append(f"union {name} = {' | '.join(members)}")
        parts.append(_definition("type", "Query", [], self.fields(3, composites=7)))
        parts.append(_definition("type", "Mutation", [], self.fields(3, composites=3)))
        parts.append(_definition("type", "Subscription", [], self.fields(2, composites=2)))
        return "\n".join(parts)

    def fields(self, leaves: int, composites: int) -> dict[str, str]:
        rng = self.rng
        found: dict[str, str] = {}
        for _ in range(leaves):
            found[self.name()] = self.arguments(0.25) + ": " + rng.choice(WRAPPERS).format(rng.choice(LEAVES))
        for _ in range(composites):
            target = rng.choice([*self.objects, *self.objects, *self.interfaces, *self.unions])
            found[self.name()] = self.arguments(0.25) + ": " + rng.choice(COMPOSITE_WRAPPERS).format(target)
        return found

    def name(self) -> str:
        self.names += 1
        return f"f{self.names}"

    def arguments(self, share: float) -> str:
        if self.rng.random() >= share:
            return ""
        chosen = {text.split(":")[0]: text for text in self.rng.sample(ARGUMENTS, self.rng.randrange(1, 4))}
        return f"({', '.join(chosen.values())})"

    def narrower(self, text: str) -> str:
        """A field of an object may promise more than its interface."""
        return text + "!" if not text.endswith("!") and self.rng.random() < 0.15 else text


def _definition(kind: str, name: str, interfaces: list[str], fields: dict[str, str]) -> str:
    implements = f" implements {' & '.join(interfaces)}" if interfaces else ""
    lines = "".join(f"  {key}{text}\n" for key, text in fields.items())
    return f"{kind} {name}{implements} {{\n{lines}}}"


def _resolved(schema: GraphQLSchema, rng: random.Random) -> list[tuple[str, str]]:
    share = rng.choice((0.0, 0.3, 0.7, 1.0))
    return [(kind.name, name) for kind in _object_types(schema) for name in kind.fields if rng.random() < share]


def _object_types(schema: GraphQLSchema) -> list[GraphQLObjectType]:
    return [
        kind
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
    ]


def _attach(case: CaseSchema, rng: random.Random) -> None:
    for type_name, field_name in case.resolved:
        cast("GraphQLObjectType", case.schema.type_map[type_name]).fields[field_name].resolve = resolve_field
    share = rng.choice((0.0, 0.2, 0.6))
    for each in _object_types(case.schema):
        for name, definition in each.fields.items():
            if rng.random() < share:
                is_resolved = (each.name, name) in case.resolved
                plan, definition.resolve = random_plan(name, definition, rng, is_resolved=is_resolved)
                case.plans[each.name, name] = plan
    _attach_types(case, rng)


def _attach_types(case: CaseSchema, rng: random.Random) -> None:
    colour = cast("GraphQLEnumType", case.schema.type_map["Colour"])
    for name, value in colour.values.items():
        value.value = COLOURS[name]
    json = cast("GraphQLScalarType", case.schema.type_map["Json"])
    json.coerce_output_value = _json
    fussy = cast("GraphQLScalarType", case.schema.type_map["Fussy"])
    fussy.coerce_output_value = _fussy
    for kind in case.schema.type_map.values():
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            case.typed_by[kind.name] = how = rng.choice(("default", "default", "sync", "async"))
            if how != "default":
                by_record: Any = resolve_type
                kind.resolve_type = _later(by_record) if how == "async" else by_record
    for each in _object_types(case.schema):
        how = rng.choice(("", "", "", "sync", "async"))
        if how and each.name.startswith("T"):
            case.checked[each.name] = how
            check = _is(each.name)
            each.is_type_of = _as_awaitable(_later(check)) if how == "async" else check


def _is(type_name: str) -> Callable[..., bool]:
    def check(value: object, info: object) -> bool:
        return resolve_is_type_of(value, type_name)

    return check


def _later(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one that answers later, where the case has awaitables at all."""

    def call(value: object, info: Any, *rest: object) -> Any:
        stage = info.context
        if not stage.is_async:
            return function(value, info, *rest)
        return stage.given(stage.later(number_of(value), function, value, info, *rest))

    return call


def _as_awaitable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with no coroutine, which graphql-core's default type resolver may leave behind."""

    def call(value: object, info: Any) -> Any:
        return Slow(lambda: function(value, info)) if info.context.is_async else function(value, info)

    return call


def _json(value: object) -> object:
    return value


def _fussy(value: object) -> object:
    """A scalar that refuses some values and returns nothing for others."""
    if value == "refused":
        raise ValueError("Fussy refuses this")
    return None if value == "nothing" else f"fussy {value}"
