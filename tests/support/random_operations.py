"""Random queries of the product's schema: any fields, fragments, conditions, variables, right and wrong values."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)

from resolvers.api import schema

SCHEMA = schema._schema
COMPOSITE = (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)
DEPTH = 3  # of objects within objects, not counting connections and edges
SIZES = (1, 2, 5, 20, 50, None)
WRONG_SIZES = (0, -1, 101, 10**6)
WRONG_CURSORS = ("", "x", "AAAA", "é", "0" * 300)
WRONG_IDS = (
    "",
    "x",
    "VXNlcjpub3BlCg",
    "VXNlcjowMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA",
    "Tm9wZTowMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA",
)


@dataclass(frozen=True)
class Things:
    """What is there to be asked for."""

    ids: Sequence[str]
    posts: Sequence[str]
    usernames: Sequence[str]
    cursors: Sequence[str]


@dataclass
class RandomOperations:
    """Writes queries. Not all are valid: two types of an interface may give one name to different types.

    Unless it `errs`, all values are right.
    """

    random: random.Random
    things: Things
    depth: int = DEPTH
    errs: bool = True
    numbers: "count[int]" = field(default_factory=count)
    declared: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)
    spreadable: dict[str, list[str]] = field(default_factory=dict)

    def query(self) -> tuple[str, dict[str, Any]]:
        """A document with one query, and its variables."""
        root = SCHEMA.query_type
        assert root is not None
        self.declared, self.variables, self.fragments, self.spreadable = [], {}, [], {}
        names = self.random.choices(sorted(set(root.fields) - {"uploadLimits"}), k=self.random.randint(1, 2))
        body = " ".join(self.call(root, name, root.fields[name], self.depth) for name in names)
        if self.chance(0.1):
            body += " __typename uploadLimits { maxBytes formats }"
        heading = f"({', '.join(self.declared)})" if self.declared else ""
        return " ".join([f"query Random{heading} {{ {body} }}", *self.fragments]), self.variables

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def mistake(self, probability: float) -> bool:
        return self.errs and self.chance(probability)

    def call(self, parent: GraphQLNamedType, name: str, definition: GraphQLField, depth: int) -> str:
        """A field, with an alias of its own if it has arguments."""
        of = get_named_type(definition.type)
        arguments = self.arguments(name, definition.args)
        alias = ""
        if arguments or (definition.args and self.chance(0.7)):
            alias = f"{name}{next(self.numbers)}: "
        elif self.chance(0.25):
            alias = f"{parent.name}_{name}: "
        given = f"({', '.join(arguments)})" if arguments else ""
        inner = f" {{ {self.selection(of, depth - 1)} }}" if isinstance(of, COMPOSITE) else ""
        return f"{alias}{name}{given}{self.condition()}{inner}"

    def selection(self, of: GraphQLNamedType, depth: int) -> str:
        """What is asked of an object, partly within fragments, partly twice."""
        if isinstance(of, GraphQLInterfaceType):
            parts = self.of_interface(of, depth)
        elif isinstance(of, GraphQLUnionType):
            parts = [self.fragment(kind, depth) for kind in self.random.sample(of.types, 1)]
        else:
            assert isinstance(of, GraphQLObjectType)
            parts = self.of_object(of, depth)
        if not parts or self.chance(0.2):
            parts.append("__typename")
        return " ".join(parts)

    def of_interface(self, of: GraphQLInterfaceType, depth: int) -> list[str]:
        kinds: list[Any] = [each for each in SCHEMA.get_possible_types(of) if each.name != "Viewer" or depth > 1]
        kinds += SCHEMA.get_implementations(of).interfaces
        chosen = self.random.sample(kinds, min(len(kinds), self.random.randint(1, 3)))
        parts = [self.call(of, name, of.fields[name], depth) for name in self.sample(of.fields, 3)]
        return parts + [self.fragment(kind, depth) for kind in chosen]

    def of_object(self, of: GraphQLObjectType, depth: int) -> list[str]:
        inside = of.name.endswith(("Connection", "Edge"))  # which cost no depth
        names = sorted(of.fields)
        if depth <= 0 and not inside:
            names = [name for name in names if is_leaf_type(get_named_type(of.fields[name].type))]
        chosen = self.sample(names, 4)
        if inside:
            chosen += [name for name in ("edges", "node") if name in of.fields and self.chance(0.9)]
        parts = [self.call(of, name, of.fields[name], depth + inside) for name in dict.fromkeys(chosen)]
        if chosen and self.chance(0.2):
            again = self.random.choice(chosen)
            parts.append(self.call(of, again, of.fields[again], depth + inside))
        if self.chance(0.15):
            interfaces = [*of.interfaces, of]
            parts.append(self.fragment(self.random.choice(interfaces), depth))
        return parts

    def fragment(self, of: GraphQLNamedType, depth: int) -> str:
        """An inline fragment, a new named one, or one written before."""
        written = self.spreadable.get(of.name)
        if written and self.chance(0.3):
            return f"...{self.random.choice(written)}{self.condition()}"
        body = self.selection(of, depth)
        if self.chance(0.5):
            return f"... on {of.name}{self.condition()} {{ {body} }}"
        name = f"F{next(self.numbers)}"
        self.fragments.append(f"fragment {name} on {of.name} {{ {body} }}")
        self.spreadable.setdefault(of.name, []).append(name)
        return f"...{name}{self.condition()}"

    def sample(self, names: Any, limit: int) -> list[str]:
        return self.random.sample(sorted(names), min(len(names), self.random.randint(1, limit)))

    def condition(self) -> str:
        """Rarely a directive, by a constant or a variable, of which there are few."""
        if not self.chance(0.03):
            return ""
        directive, is_true = self.random.choice(["skip", "include"]), self.random.choice(["true", "false"])
        if self.chance(0.4):
            return f" @{directive}(if: {is_true})"
        name = f"if{self.random.randrange(3)}"
        if f"${name}: Boolean = false" not in self.declared:
            self.declared.append(f"${name}: Boolean = false")
            if self.chance(0.7):
                self.variables[name] = self.random.choice([True, False] * 20 + [None] * self.errs)
        return f" @{directive}(if: ${name})"

    def arguments(self, name: str, definitions: dict[str, GraphQLArgument]) -> list[str]:
        """Arguments as written: constants and variables, most of them right."""
        given = []
        backwards = self.chance(0.2)
        for key, definition in definitions.items():
            if key in ("first", "after") and backwards and not self.mistake(0.05):
                continue
            if key in ("last", "before") and not backwards and not self.mistake(0.02):
                continue
            value = self.value(name, key, definition)
            if value is not None:
                given.append(f"{key}: {self.written(definition, value[0])}")
        return given

    def written(self, definition: GraphQLArgument, value: Any) -> str:
        """The value as a constant, or by a variable that is given, has it as default, or is left out."""
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(get_named_type(definition.type), GraphQLEnumType):
            text = text.replace('"', "")
        if self.chance(0.5):
            return text
        variable, declared = f"v{next(self.numbers)}", str(definition.type)
        if self.chance(0.8):
            self.variables[variable] = value
        elif self.chance(0.5) or declared.endswith("!"):
            declared += f" = {text}"
        self.declared.append(f"${variable}: {declared}")
        return f"${variable}"

    def value(  # noqa: C901, PLR0911, PLR0912  one for each argument
        self, name: str, key: str, definition: GraphQLArgument
    ) -> tuple[Any] | None:
        """A value in a tuple; None to leave the argument out."""
        choice, things = self.random.choice, self.things
        match key:
            case "id":
                right = things.posts if name == "post" and not self.mistake(0.2) else things.ids
                return (choice(WRONG_IDS if self.mistake(0.07) else right),)
            case "ids":
                known = [*things.ids, *(WRONG_IDS if self.errs else ())]
                return ([choice(known) for _ in range(choice([0, 1, 3, 8, 20]))],)
            case "username":
                wrong = ["nobody", "", "@" + things.usernames[0].upper()] if self.errs else []
                return (choice([*things.usernames, *wrong]),)
            case "query" | "prefix":
                texts = [things.usernames[0][:5], choice(things.usernames), *([" ", "x" * 101] if self.errs else ())]
                return (choice(texts),)
            case "first" | "last":
                sizes = WRONG_SIZES if self.mistake(0.08) else SIZES
                return (choice(sizes),) if self.chance(0.8) else None
            case "after" | "before":
                cursors = WRONG_CURSORS if self.mistake(0.2) else things.cursors
                return (choice(cursors),) if cursors and self.chance(0.15) else None
            case "subjectId":
                return (choice(things.ids),) if self.chance(0.5) else None
            case "name":
                return (choice(["two words", ""] if self.mistake(0.2) else ["sea", "#Sea", "land"]),)
            case "key":
                return (choice(["", "no key", "A" * 38]),)
            case "latitude" | "longitude":
                return (choice([91.5, -1e9] if self.mistake(0.1) else [54.0, 10.0, 54.01, -12.5]),)
            case "withinMeters":
                return (choice([0, 10**6] if self.mistake(0.1) else [1, 1_000, 20_000]),) if self.chance(0.5) else None
            case "width":
                return (choice([10**6, -1]) if self.mistake(0.4) else choice([1, 150, 640]),)
            case _:
                return self.optional(definition)

    def optional(self, definition: GraphQLArgument) -> tuple[Any] | None:
        """A value of an enum, of a list of one, or a Boolean."""
        of = get_named_type(definition.type)
        if not self.chance(0.4):
            return None
        if not isinstance(of, GraphQLEnumType):
            return (self.random.choice([True, False]),)
        names = sorted(of.values)
        return (self.sample(names, 3) if "[" in str(definition.type) else self.random.choice(names),)
