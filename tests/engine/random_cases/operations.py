"""Random operations for a schema: fragments, aliases, conditions, arguments and variables of every kind."""

import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
    parse,
    validate,
)

DEPTH_MAX = 5
FIELDS_MAX = 45
CONDITIONS = {
    "yes": ("Boolean!", ""),
    "no": ("Boolean!", " = false"),
    "maybe": ("Boolean!", ""),
    "on": ("Boolean", " = true"),
}
SCALARS: dict[str, tuple[str, ...]] = {
    "Int": ("0", "-5", "2147483647"),
    "Float": ("1", "-0.5", "1e3"),
    "String": ('"a"', '"é \\"q\\""', '"""block\n  text"""'),
    "Boolean": ("true", "false"),
    "ID": ('"id"', "12"),
    "Json": ("1", '"x"', "{a: [1, {b: null}]}", "[true]", "SOME"),
    "Fussy": ('"z"', "3"),
}
PLAIN: dict[str, tuple[object, ...]] = {
    "Int": (0, -5, 2147483647, 7.0),
    "Float": (1, -0.5, 1e3),
    "String": ("a", "é", ""),
    "Boolean": (True, False),
    "ID": ("id", 12),
    "Json": (1, "x", {"a": [1, {"b": None}]}, [True]),
    "Fussy": ("z", 3),
}


@dataclass(frozen=True, slots=True)
class CaseOperation:
    """A valid document, the name of the operation to run, and what its variables may be."""

    document: DocumentNode
    source: str
    name: str | None
    kind: str
    variables: dict[str, GraphQLArgument]


def random_operation(schema: GraphQLSchema, rng: random.Random) -> CaseOperation | None:
    """An operation that is valid; None if what came out is not, which happens."""
    text = _Text(schema, rng)
    kind = rng.choice(("query",) * 9 + ("mutation",) * 3 + ("subscription",))
    source, name = text.document(kind)
    document = parse(source)
    if validate(schema, document):
        return None
    return CaseOperation(document, source, name, kind, text.variables)


def random_variables(operation: CaseOperation, rng: random.Random) -> dict[str, Any]:
    """Values for its variables, some absent, some null, now and then one that does not fit."""
    values: dict[str, Any] = {}
    for name, definition in operation.variables.items():
        required = isinstance(definition.type, GraphQLNonNull) and definition.default_value is Undefined
        if not required and rng.random() < 0.3:
            continue
        values[name] = plain_value(definition.type, rng, 0)
        is_nullable = not isinstance(definition.type, GraphQLNonNull)
        if is_nullable and definition.default_value is not Undefined and rng.random() < 0.3:
            values[name] = None  # which an argument that has the variable may not be
    if rng.random() < 0.03 and values:
        values[rng.choice(sorted(values))] = {"does": "not fit"}
    return values


def plain_value(kind: Any, rng: random.Random, depth: int) -> Any:
    """A value as it comes from JSON."""
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    elif rng.random() < 0.15:
        return None
    if isinstance(kind, GraphQLList):
        if rng.random() < 0.25:  # one value stands for a list of one
            return plain_value(kind.of_type, rng, depth)
        return [plain_value(kind.of_type, rng, depth) for _ in range(rng.randrange(0, 3))]
    if isinstance(kind, GraphQLEnumType):
        return rng.choice(list(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        chosen = _chosen_fields(kind, rng, depth)
        return {name: plain_value(each, rng, depth + 1) for name, each in chosen.items()}
    return rng.choice(PLAIN[kind.name])


def _chosen_fields(kind: GraphQLInputObjectType, rng: random.Random, depth: int) -> dict[str, Any]:
    fields: dict[str, GraphQLInputField] = kind.fields
    if kind.is_one_of:
        name = rng.choice([name for name in fields if depth < 2 or name != "where"])
        return {name: GraphQLNonNull(fields[name].type)}
    return {
        name: each.type
        for name, each in fields.items()
        if rng.random() < (0.5 if depth < 2 or not name.startswith("inner") else 0.0)
    }


@dataclass(slots=True)
class _Text:
    schema: GraphQLSchema
    rng: random.Random
    variables: dict[str, GraphQLArgument] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    fragments: dict[str, str] = field(default_factory=dict)
    fragment_types: dict[str, GraphQLNamedType] = field(default_factory=dict)
    arguments_of: dict[tuple[str, str], str] = field(default_factory=dict)
    spreading: list[str] = field(default_factory=list)
    count: int = 0

    def document(self, kind: str) -> tuple[str, str | None]:
        root = self.schema.type_map[kind.capitalize()]
        body = self.selections(root, 0, root_field=kind == "subscription")
        declared = f"({', '.join(self.declared.values())})" if self.declared else ""
        rng = self.rng
        name = rng.choice(("", "Op"))
        parts = [f"{kind} {name}{declared} {{ {body} }}", *self.fragments.values()]
        if name and rng.random() < 0.3:
            parts.insert(rng.randrange(2), "query Other { __typename }")
            return "\n".join(parts), name
        return "\n".join(parts), name if name and rng.random() < 0.5 else None

    def selections(self, kind: GraphQLNamedType, depth: int, *, root_field: bool = False) -> str:
        rng = self.rng
        if root_field:  # a subscription selects one field
            name = rng.choice(sorted(self._fields(kind)))
            return self.field(name, self._fields(kind)[name], depth, condition=False) or "__typename"
        fields = self._fields(kind)
        names = rng.choices(sorted(fields), k=rng.randrange(1, 6)) if fields else []
        parts = [self.field(name, fields[name], depth) for name in names]
        if rng.random() < 0.3:
            parts.append(f"{rng.choice(('', 't: '))}__typename{self.condition()}")
        chance = 0.5 if is_abstract_type(kind) else 0.25
        while rng.random() < chance and depth < DEPTH_MAX and self.count < FIELDS_MAX:
            parts.append(self.fragment(kind, depth))
        rng.shuffle(parts)
        return " ".join(part for part in parts if part) or "__typename"

    def field(self, name: str, definition: GraphQLField, depth: int, *, condition: bool = True) -> str:
        named = get_named_type(definition.type)
        if is_composite_type(named) and (depth >= DEPTH_MAX or self.count >= FIELDS_MAX):
            return ""
        self.count += 1
        alias = self.rng.choice(("", "", f"{name}_1", f"{name}_2"))
        key = (alias, name)
        if key not in self.arguments_of:  # the same response key has the same arguments, so that it merges
            self.arguments_of[key] = self.arguments(definition)
        text = f"{alias}: {name}" if alias else name
        text += self.arguments_of[key] + (self.condition() if condition else "")
        if is_leaf_type(named):
            return text
        return f"{text} {{ {self.selections(named, depth + 1)} }}"

    def fragment(self, kind: GraphQLNamedType, depth: int) -> str:
        rng = self.rng
        target = rng.choice(self._overlapping(kind))
        if rng.random() < 0.5:
            on = f" on {target.name}" if target is not kind or rng.random() < 0.5 else ""
            return f"...{on}{self.condition()} {{ {self.selections(target, depth + 1)} }}"
        for name, on_type in self.fragment_types.items():
            if on_type is target and name not in self.spreading and rng.random() < 0.6:
                return f"...{name}{self.condition()}"
        name = f"F{len(self.fragment_types)}"
        self.fragment_types[name] = target
        self.spreading.append(name)
        body = self.selections(target, depth + 1)
        self.spreading.remove(name)
        self.fragments[name] = f"fragment {name} on {target.name} {{ {body} }}"
        return f"...{name}{self.condition()}"

    def condition(self) -> str:
        rng = self.rng
        if rng.random() > 0.18:
            return ""
        texts = []
        for directive in rng.sample(("skip", "include"), rng.choice((1, 1, 1, 2))):
            value = rng.choice(("true", "false", *(f"${name}" for name in CONDITIONS for _ in (0, 1))))
            if value[0] == "$":
                self.condition_variable(value[1:])
            texts.append(f" @{directive}(if: {value})")
        return "".join(texts)

    def condition_variable(self, name: str) -> None:
        kind, default = CONDITIONS[name]
        self.declared[name] = f"${name}: {kind}{default}"
        self.variables[name] = GraphQLArgument(
            GraphQLNonNull(GraphQLBoolean), default_value=default == " = true" if default else Undefined
        )

    def arguments(self, definition: GraphQLField) -> str:
        parts = []
        for name, argument in definition.args.items():
            is_required = isinstance(argument.type, GraphQLNonNull) and argument.default is None
            if is_required or self.rng.random() < 0.7:
                parts.append(f"{name}: {self.literal(argument.type, 0, argument.default is not None)}")
        return f"({', '.join(parts)})" if parts else ""

    def literal(self, kind: Any, depth: int, has_default: bool = False) -> str:  # noqa: PLR0911  one for each kind
        rng = self.rng
        if rng.random() < 0.35:
            return self.variable(kind, has_default)
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
        elif rng.random() < 0.12:
            return "null"
        if isinstance(kind, GraphQLList):
            if rng.random() < 0.25:
                return self.literal(kind.of_type, depth)
            return f"[{', '.join(self.literal(kind.of_type, depth) for _ in range(rng.randrange(0, 3)))}]"
        if isinstance(kind, GraphQLEnumType):
            return str(rng.choice(list(kind.values)))
        if isinstance(kind, GraphQLInputObjectType):
            chosen = _chosen_fields(kind, rng, depth)
            return f"{{{', '.join(f'{name}: {self.literal(each, depth + 1)}' for name, each in chosen.items())}}}"
        return rng.choice(SCALARS[kind.name])

    def variable(self, kind: Any, has_default: bool) -> str:
        """A new variable, or an old one of the same type; a default makes a nullable one fit a non-null place."""
        rng = self.rng
        for name, declared in self.variables.items():
            if str(declared.type) == str(kind) and name not in CONDITIONS and rng.random() < 0.4:
                return f"${name}"
        name = f"v{len(self.variables)}"
        self.variables[name] = GraphQLArgument(kind)
        text, default = str(kind), ""
        if rng.random() < 0.3:
            default = f" = {_constant(kind, rng)}"
            self.variables[name] = GraphQLArgument(
                kind, default_value=None if not isinstance(kind, GraphQLNonNull) else 0
            )
        if isinstance(kind, GraphQLNonNull) and has_default and rng.random() < 0.3:
            text = text[:-1]
            self.variables[name] = GraphQLArgument(kind.of_type, default_value=None)
        self.declared[name] = f"${name}: {text}{default}"
        return f"${name}"

    def _fields(self, kind: GraphQLNamedType) -> dict[str, GraphQLField]:
        return {} if isinstance(kind, GraphQLUnionType) else kind.fields  # type: ignore[attr-defined]

    def _overlapping(self, kind: GraphQLNamedType) -> list[GraphQLNamedType]:
        """The types that a fragment within this type may be on."""
        schema = self.schema
        mine = _possible(schema, kind)
        return [
            each
            for each in schema.type_map.values()
            if is_composite_type(each) and not each.name.startswith("__") and mine & _possible(schema, each)
        ]


def _possible(schema: GraphQLSchema, kind: Any) -> set[str]:
    if isinstance(kind, GraphQLObjectType):
        return {kind.name}
    return {each.name for each in schema.get_possible_types(kind)}


def _constant(kind: Any, rng: random.Random) -> str:
    """A literal without variables."""
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    elif rng.random() < 0.12:
        return "null"
    if isinstance(kind, GraphQLList):
        return f"[{', '.join(_constant(kind.of_type, rng) for _ in range(rng.randrange(0, 3)))}]"
    if isinstance(kind, GraphQLEnumType):
        return str(rng.choice(list(kind.values)))
    if isinstance(kind, GraphQLInputObjectType):
        chosen = _chosen_fields(kind, rng, 2)
        return f"{{{', '.join(f'{name}: {_constant(each, rng)}' for name, each in chosen.items())}}}"
    return rng.choice(SCALARS[kind.name])
