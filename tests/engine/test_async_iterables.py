"""Asynchronous iterables as lists: graphql-core's executor completes them for the engine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.engine.running import both_later, errors_of, schema_of

SDL = "type Item { n: Int } type Query { any: [Int] all: [Int!] must: [Int!]! items: [Item] strict: [Item!] n: Int }"
SCHEMA = schema_of(SDL)


class Numbers:
    """An asynchronous iterable that is no generator, and says whether it was closed."""

    def __init__(self, *values: object) -> None:
        self._values = iter(values)
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    async def __anext__(self) -> object:
        await asyncio.sleep(0)
        try:
            value = next(self._values)
        except StopIteration:
            raise StopAsyncIteration from None
        if isinstance(value, KeyError):
            raise value
        return value

    async def aclose(self) -> None:
        self.is_closed = True


async def generator(*values: object) -> Any:
    for value in values:
        if isinstance(value, KeyError):
            raise value
        yield value


@pytest.mark.parametrize("field", ["any", "all", "must"])
@pytest.mark.parametrize("make", [Numbers, generator])
@pytest.mark.parametrize(
    "values",
    [
        (),
        (1, 2),
        (1, None, 2),
        (1, "no number", 2),
        (1, ValueError("an item"), 2),
        (1, KeyError("breaks")),
        (KeyError("breaks at once"),),
    ],
    ids=repr,
)
async def test_values_null_and_errors(field: str, make: Any, values: tuple[object, ...]) -> None:
    await both_later(SCHEMA, f"{{ n {field} }}", lambda: {"n": 1, field: make(*values)})
    await both_later(SCHEMA, f"{{ n x: {field} }}", lambda: {"n": 1, field: lambda info: make(*values)})


@pytest.mark.parametrize("count", [1, 3])
async def test_items_whose_fields_are_asynchronous(count: int) -> None:
    async def number(source: Any, info: object) -> object:
        await asyncio.sleep(0)
        if source["n"] == 2:
            raise ValueError("bad")
        return source["n"]

    schema = schema_of(SDL, Item_n=number)
    source = "{ items { n } strict { n } }"
    for _ in range(2):  # the second execution has seen the classes of the items
        answer = await both_later(
            schema, source, lambda: {key: Numbers(*({"n": n} for n in range(count))) for key in ("items", "strict")}
        )
    assert answer.data["items"] == [{"n": n if n < 2 else None} for n in range(count)]


async def test_an_iterable_is_closed_when_an_item_is_null_that_may_not_be() -> None:
    made: list[Numbers] = []

    def root() -> dict[str, object]:
        made.append(Numbers(1, None, 2))
        return {"all": made[-1]}

    answer = await both_later(SCHEMA, "{ all }", root)
    assert answer.data == {"all": None}
    assert errors_of(answer)[0][1] == ["all", 1]
    assert [each.is_closed for each in made] == [True, True]
