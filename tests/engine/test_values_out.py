"""Values out: leaves of every type, lists of every kind, and what the default resolver reads."""

import enum
import math
from collections import OrderedDict, UserDict, deque
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from graphql import Undefined

from tests.engine.running import both, both_later, schema_of


class Number(int):
    pass


class Text(str):
    __slots__ = ()


class Real(float):
    pass


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    ONE = "one"


class Shade(enum.Enum):
    DARK = "d"


class Indexed:
    def __index__(self) -> int:
        return 5


SDL = """
enum Colour { RED GREEN DARK }
scalar Any
scalar Fussy
type Query {
  int: Int string: String float: Float boolean: Boolean id: ID colour: Colour any: Any fussy: Fussy
  ints: [Int] strict: [Int!] colours: [Colour!] anys: [Any!]! things: [Query] nested: [[Query!]] thing: Query
}
"""


def fussy(value: object) -> object:
    if value == "refused":
        raise ValueError("refused")
    return {"nothing": None, "undefined": Undefined}.get(str(value), value)


SCHEMA = schema_of(SDL, Fussy__output=fussy)
for name, value in (("RED", 1), ("GREEN", ["unhashable"]), ("DARK", Shade.DARK)):
    SCHEMA.type_map["Colour"].values[name].value = value  # type: ignore[attr-defined]

VALUES: list[Any] = [
    *(None, Undefined, True, False, 0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 10**400, 1.0, 1.5, -0.0, 1e300),
    *(math.nan, math.inf, -math.inf, "", "1", "-7", "1.5", "x", "RED", "true", b"b", bytearray(b"c"), Number(4)),
    *(Text("t"), Real(2.5), Level.LOW, Word.ONE, Shade.DARK, Decimal("1.5"), Decimal(3), Fraction(6, 2), Indexed(), 1j),
    *([], [1], ["unhashable"], (), {}, {"a": 1}, set(), ..., "refused", "nothing", "undefined", ValueError("value")),
]


@pytest.mark.parametrize(
    "field", ["int", "string", "float", "boolean", "id", "colour", "any", "fussy", "thing { int }"]
)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value!r:.20}")
def test_every_value_for_every_leaf(field: str, value: object) -> None:
    key = field.split(maxsplit=1)[0]
    for source in ({key: value}, SimpleNamespace(**{key: value})):
        both(SCHEMA, f"{{ {field} again: {field} }}", {**source} if isinstance(source, dict) else source)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value!r:.20}")
def test_every_value_as_a_list_and_as_an_item(value: object) -> None:
    for field in ("ints", "strict", "colours", "anys", "things { int }", "nested { int }"):
        key = field.split()[0]
        both(SCHEMA, f"{{ {field} }}", {key: value})
        both(SCHEMA, f"{{ {field} }}", {key: [value, 1, value]})
        both(SCHEMA, f"{{ thing {{ {field} }} int }}", {"thing": {key: ([value],)}, "int": 1})


class Counting:
    """It can be iterated over, and no more."""

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2))


class Pair(NamedTuple):
    a: int
    b: int


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, 2],
        lambda: (1, 2),
        lambda: {1, 2},
        lambda: frozenset((1, 2, 3)),
        lambda: deque((1, 2)),
        {1: "x", 2: "y"}.keys,
        {"x": 1}.values,
        lambda: range(3),
        lambda: (number for number in (1, 2)),
        lambda: iter([1, 2]),
        lambda: map(int, "12"),
        lambda: Pair(1, 2),
        lambda: type("Own", (list,), {})([1, 2]),
        Counting,
        lambda: "12",
        lambda: b"12",
        lambda: memoryview(b"12"),
        lambda: {"1": 2},
        lambda: 12,
    ],
)
def test_what_is_a_list(make: Any) -> None:
    for root in (lambda: {"ints": make()}, lambda: SimpleNamespace(strict=make(), ints=make(), anys=make())):
        both(SCHEMA, "{ ints strict anys }", root)


async def test_asynchronous_iterables_are_lists() -> None:
    async def items(breaks: bool) -> Any:
        yield 1
        yield 2
        if breaks:
            raise ValueError("breaks")

    answer = await both_later(SCHEMA, "{ ints strict }", lambda: {"ints": items(False), "strict": items(True)})
    assert answer.data == {"ints": [1, 2], "strict": None}
    assert [each.message for each in answer.problems] == ["breaks"]


class Slotted:
    __slots__ = ("int",)

    def __init__(self) -> None:
        self.int = 3


class Inherited:
    int = 4

    @property
    def string(self) -> str:
        return "property"

    def float(self, _info: Any) -> float:
        return 2.5

    @classmethod
    def id(cls, info: Any) -> str:
        return info.field_name  # type: ignore[no-any-return]

    @staticmethod
    def boolean(_info: Any) -> bool:
        return True

    def __getattr__(self, name: str) -> object:
        if name == "thing":
            return self
        raise AttributeError(name)


@pytest.mark.parametrize(
    "source",
    [
        {"int": 1},
        OrderedDict(int=1),
        UserDict(int=1),
        MappingProxyType({"int": 1}),
        type("Own", (dict,), {"int": 9})(int=1),
        type("Own", (dict,), {"int": 9})(),
        SimpleNamespace(int=1),
        Slotted(),
        Inherited(),
        Inherited,
        Pair(1, 2),
        5,
        "text",
        (),
    ],
)
def test_the_default_resolver_reads_items_of_mappings_and_attributes_of_others(source: object) -> None:
    both(SCHEMA, "{ thing { int string float boolean id any thing { int } } }", {"thing": source})


@pytest.mark.parametrize(
    "field", ["int", "string", "colour", "any", "fussy", "ints", "things { int }", "thing { int }"]
)
def test_a_callable_attribute_is_called_with_info_and_arguments(field: str) -> None:
    def value(info: Any) -> object:
        return {"int": 1, "string": "s", "colour": 1, "ints": [3], "thing": {"int": 1}, "things": [{"int": 2}]}.get(
            info.field_name, [info.field_name, info.path.as_list()]
        )

    key = field.split(maxsplit=1)[0]
    for source in ({key: value}, SimpleNamespace(**{key: value})):
        answer = both(SCHEMA, f"{{ thing {{ {field} }} }}", {"thing": source})
        assert answer.data["thing"][key] is not None


def test_a_custom_scalar_without_a_value_is_an_error() -> None:
    for value in ("refused", "nothing", "undefined"):
        answer = both(SCHEMA, "{ fussy }", {"fussy": value})
        assert answer.data == {"fussy": None}
        assert len(answer.problems) == 1


def test_a_scalar_gives_what_its_function_gives_and_the_data_holds_just_that() -> None:
    value = {"b": [1, {"x": None}], "a": 1}
    answer = both(SCHEMA, "{ any }", {"any": value})
    assert answer.data["any"] is value
