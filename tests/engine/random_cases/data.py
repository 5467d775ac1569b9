"""Random data for an operation: what every field that it selects gives, right or wrong, now or later."""

import random
from collections.abc import Iterable, Iterator
from typing import Any, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    is_abstract_type,
    is_leaf_type,
)

from engine import Load
from tests.engine.random_cases.loads import key_of
from tests.engine.random_cases.operations import CaseOperation
from tests.engine.random_cases.schemas import COLOURS, CaseSchema
from tests.engine.random_cases.specs import Failed, Later, Many, Method, Record, Spec, Value
from tests.engine.random_cases.stages import Mode


class Number(int):
    pass


class Text(str):
    __slots__ = ()


GOOD: dict[str, tuple[object, ...]] = {
    "Int": (0, 1, -7, 2147483647),
    "Float": (1.5, -0.0, 2, 1e300),
    "String": ("a", "é", ""),
    "Boolean": (True, False),
    "ID": ("id", 12, "x"),
    "Json": (1, "x", {"a": [None]}, [1, 2], True),
    "Fussy": ("a", 1),
}
ODD: dict[str, tuple[object, ...]] = {
    "Int": (True, 2**31, -(2**31) - 1, "5", "x", 3.0, 3.5, float("nan"), Number(4), b"1", (), "", ...),
    "Float": (True, "1.5", "x", float("nan"), float("inf"), Number(4), 10**400, b"1", ""),
    "String": (5, True, 1.5, Text("t"), b"b", (1,), float("nan"), ...),
    "Boolean": (0, 1, "true", 2.5, float("nan"), Number(0), ...),
    "ID": (5.0, 5.5, True, Text("t"), b"b", (1,), Number(9), 2**70),
    "Colour": ("RED", "nothing", 3, ("unhashable",), True, Text("b"), 1.0),
    "Json": ((1,), Text("t"), Number(3), float("inf")),
    "Fussy": ("refused", "nothing"),
}
FAILURES = ("plain", "plain", "graphql", "located", "coded", "key", "stop")
FORMS = ("dict", "dict", "object", "object", "lazy", "userdict", "proxy")
LISTS = ("list",) * 6 + ("tuple", "deque", "view", "generator", "iteration")
RECORDS_MAX = 40


def random_data(
    schema: CaseSchema, operation: CaseOperation, rng: random.Random, mode: Mode, *, trouble: float
) -> tuple[Record, dict[int, Spec]]:
    """The root value, and what loaders find. `trouble` is the share of values that are wrong, missing or fail."""
    data = _Data(schema, operation, rng, mode, trouble)
    return data.root(), data.loads


class _Data:
    def __init__(
        self, schema: CaseSchema, operation: CaseOperation, rng: random.Random, mode: Mode, trouble: float
    ) -> None:
        self.case, self.operation, self.rng, self.mode, self.trouble = schema, operation, rng, mode, trouble
        self.schema = schema.schema
        self.later = 0.0 if mode is Mode.SYNC else rng.choice((0.03, 0.15, 0.5))
        self.forms = rng.choice((("dict",), ("object",), FORMS))
        self.fragments = {
            each.name.value: each for each in operation.document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self.records = 0
        self.loads: dict[int, Spec] = {}
        self._keys: dict[tuple[str, str], list[int]] = {}  # of the type and the loader
        self.readers = 1  # of what is made now: a field that is selected under two keys is read twice

    def root(self) -> Record:
        operation = next(
            each
            for each in self.operation.document.definitions
            if each.kind == "operation_definition"
            and (self.operation.name is None or (each.name and each.name.value == self.operation.name))  # type: ignore[attr-defined]
        )
        kind = cast("GraphQLObjectType", self.schema.type_map[self.operation.kind.capitalize()])
        return self.record(kind, [operation.selection_set], None)  # type: ignore[attr-defined]

    def spec(self, kind: Any, selections: list[SelectionSetNode], *, is_field: bool) -> Spec:
        """What a position of this type gives: the value, or something that leads to it."""
        rng = self.rng
        result = self.value(kind, selections)
        if rng.random() < self.trouble / 2:
            result = Failed(f"failure {rng.randrange(1000)}", rng.choice(FAILURES), as_value=rng.random() < 0.4)
        if is_field and rng.random() < 0.06:
            result = Method(result)
        kinds: tuple[str, ...] = ("coroutine", "coroutine", "future", "task", "slow")
        if self.mode is Mode.RACING:
            kinds += ("done", "ready")
        is_exact = self.mode is Mode.PACED  # two fields that await one value have their errors in either order
        if rng.random() < self.later and not (is_exact and self.readers > 1):
            result = Later(rng.choice(kinds), rng.random(), result)
        return result

    def value(self, kind: Any, selections: list[SelectionSetNode]) -> Spec:  # noqa: C901, PLR0911  one for each kind
        rng, trouble = self.rng, self.trouble
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
            if rng.random() < trouble / 2:
                return Value(None)
        elif rng.random() < max(trouble, 0.05):
            return Value(None)
        if isinstance(kind, GraphQLList):
            if rng.random() < trouble / 4:
                return Value(rng.choice((5, "text", b"bytes", True)))
            return self.many(kind.of_type, selections)
        if is_leaf_type(kind):
            name = kind.name
            if rng.random() < (3 * trouble if name == "Fussy" else trouble):
                return Value(rng.choice(ODD.get(name, (...,))))
            return Value(rng.choice(tuple(COLOURS.values()) if isinstance(kind, GraphQLEnumType) else GOOD[name]))
        if rng.random() < trouble / 6:
            return Value(rng.choice((5, "text", ())))
        if is_abstract_type(kind):
            possible = sorted(self.schema.get_possible_types(kind), key=lambda each: each.name)
            if not possible:
                return Value(None)
            return self.record(rng.choice(possible), selections, kind.name)
        return self.record(kind, selections, None)

    def held(self, plan: Load, kind: Any, selections: list[SelectionSetNode]) -> Spec:
        """The key of a batch field, or its keys."""
        rng = self.rng
        if rng.random() < max(self.trouble / 4, 0.03):
            return Value(None)
        if not plan.many:
            return Value(self.key(plan, kind, selections))
        item = (kind.of_type if isinstance(kind, GraphQLNonNull) else kind).of_type
        return Value(tuple(self.key(plan, item, selections) for _ in range(rng.randrange(0, 4))))

    def key(self, plan: Load, kind: Any, selections: list[SelectionSetNode]) -> int:
        known = self._keys.setdefault((str(kind), plan.loader.__name__), [])
        if known and self.rng.random() < 0.3:
            return self.rng.choice(known)
        later, self.later = self.later, 0.0  # what is loaded is there, with all that belongs to it
        spec = self.value(kind, selections)
        self.later = later
        if self.rng.random() < self.trouble / 2:
            spec = Failed(
                f"failure {self.rng.randrange(1000)}", self.rng.choice(FAILURES[:-1])
            )  # coroutines change the last
        key = len(self.loads) + 1
        self.loads[key] = spec
        known.append(key)
        return key

    def many(self, kind: Any, selections: list[SelectionSetNode]) -> Spec:
        rng = self.rng
        count = rng.randrange(0, 4) if self.records < RECORDS_MAX else rng.randrange(0, 2)
        items = tuple(self.spec(kind, selections, is_field=False) for _ in range(count))
        form = rng.choice(LISTS if self.mode is Mode.SYNC else (*LISTS, "async"))
        return Many(form, items, breaks=rng.random() < self.trouble, rank=rng.random())

    def record(self, kind: GraphQLObjectType, selections: list[SelectionSetNode], abstract: str | None) -> Record:
        rng, trouble = self.rng, self.trouble
        self.records += 1
        number = self.records
        fields = {}
        for name, nodes in self._selected(kind, selections).items():
            readers = len({node.alias.value if node.alias else name for node in nodes})
            self.readers *= readers
            subselections = [node.selection_set for node in nodes if node.selection_set]
            plan = self.case.plans.get((kind.name, name))
            if isinstance(plan, Load):
                if rng.random() >= trouble / 4:
                    fields[key_of(plan)] = self.held(plan, kind.fields[name].type, subselections)
            else:
                fields[name] = self.spec(kind.fields[name].type, subselections, is_field=True)
            self.readers //= readers
        resolved = frozenset(name for name in fields if (kind.name, name) in self.case.resolved)
        claim: Spec | None = None
        if abstract and rng.random() < trouble:
            possible = {each.name for each in self.schema.get_possible_types(self.schema.type_map[abstract])}  # type: ignore[arg-type]
            objects = sorted({f"T{number}" for number in range(6)} & {*self.schema.type_map} - possible)
            names = (None, 5, "Nothing", rng.choice(sorted(self.schema.type_map)), *objects)
            claims: list[Spec] = [*map(Value, names), Failed("no type")]
            claim = rng.choice(claims)
        typed = kind.name not in self.case.checked or rng.random() < 0.5
        if typed and rng.random() < trouble / 6:
            typed = False
        denied = rng.random() < trouble / 3
        return Record(rng.choice(self.forms), kind.name, fields, resolved, claim, denied, typed, number)

    def _selected(self, kind: GraphQLObjectType, selections: Iterable[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        found: dict[str, list[FieldNode]] = {}
        for node in _field_nodes(self.schema, self.fragments, kind, selections):
            name = node.name.value
            if not name.startswith("__"):
                found.setdefault(name, []).append(node)
        return found


def _field_nodes(
    schema: GraphQLSchema,
    fragments: dict[str, FragmentDefinitionNode],
    kind: GraphQLObjectType,
    selections: Iterable[SelectionSetNode],
) -> Iterator[FieldNode]:
    """The fields that may be selected from this type, whatever the conditions say."""
    for selection_set in selections:
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment: Any = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            if isinstance(fragment, InlineFragmentNode | FragmentDefinitionNode):
                on = fragment.type_condition
                condition: Any = schema.type_map[on.name.value] if on else kind
                if condition is kind or (is_abstract_type(condition) and schema.is_sub_type(condition, kind)):
                    yield from _field_nodes(schema, fragments, kind, [fragment.selection_set])
