"""Awaitables: where they may stand, that none is left over, and cancellation."""

import asyncio
import gc
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import ExecutionResult

from engine import Item
from tests.engine.running import both_later, compiled, errors_of, schema_of, turns

SDL = """
type Thing { id: ID! name: String n: Int any: Any thing: Thing must: Thing! things: [Thing]
  all: [Thing!] words: [String] grid: [[Int!]!] }
scalar Any
interface Pet { name: String }
type Dog implements Pet { name: String }
type Query { thing: Thing name: String n: Int any: Any things: [Thing!]! all: [Thing] pet: Pet
  strict: String! words: [String!] }
type Mutation { a: Int }
"""
SCHEMA = schema_of(SDL)


async def coroutine(value: object, count: int = 2) -> object:
    for _ in range(count):
        await asyncio.sleep(0)
    if isinstance(value, Exception):
        raise value
    return value


def pending(value: object) -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not future.done():
            future.set_exception(value) if isinstance(value, Exception) else future.set_result(value)

    asyncio.get_running_loop().call_later(0.001, end)
    return future


def done(value: object) -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.set_exception(value) if isinstance(value, Exception) else future.set_result(value)
    return future


class Awaitable:
    def __init__(self, value: object) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, object]:
        return coroutine(self.value).__await__()


class SubFuture(asyncio.Future):  # type: ignore[type-arg]
    pass


def subclass(value: object) -> "asyncio.Future[object]":
    future = SubFuture()
    future.set_exception(value) if isinstance(value, Exception) else future.set_result(value)
    return future


KINDS: list[Any] = [
    coroutine,
    lambda value: coroutine(value, 0),
    lambda value: asyncio.ensure_future(coroutine(value)),
    pending,
    done,
    subclass,
    Awaitable,
]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_awaitable_stands_for_its_value_wherever_it_is(kind: Any) -> None:
    """graphql-jit's GraphQL-JS.md: awaitables in plain attributes came out as null."""

    def root() -> dict[str, Any]:
        thing = SimpleNamespace(id=kind("i"), name=kind("n"), n=kind(1), any=kind({"x": 1}))
        return {
            "name": kind("x"),
            "thing": kind(
                {
                    "words": kind([kind("a"), "b", kind(None)]),
                    "grid": [kind([kind(1), 2]), [kind(3)]],
                    "thing": kind(thing),
                }
            ),
            "all": [kind({"id": kind(1)}), None, kind(None), {"id": kind("2")}],
            "pet": kind({"__typename": "Dog", "name": kind("d")}),
        }

    source = "{ name x: n thing { words grid thing { id name n any } } all { id } pet { name ... on Dog { d: name } } }"
    if kind is coroutine or kind is KINDS[1]:
        source = source.replace(" ... on Dog { d: name }", "")  # a coroutine can be awaited once
    answer = await both_later(SCHEMA, source, root)
    assert answer.problems == ()
    assert answer.data["thing"]["grid"] == [[1, 2], [3]]
    assert answer.data["all"] == [{"id": "1"}, None, None, {"id": "2"}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("source", "root", "data"),
    [
        ("{ name }", lambda kind: {"name": lambda info: kind(ValueError("x"))}, {"name": None}),
        ("{ n }", lambda kind: {"n": lambda info: kind("no number")}, {"n": None}),
        ("{ any }", lambda kind: {"any": lambda info: kind(KeyError("key"))}, {"any": None}),
        ("{ words }", lambda kind: {"words": lambda info: [kind("a"), kind(None)]}, {"words": None}),
        ("{ words }", lambda kind: {"words": lambda info: kind(5)}, {"words": None}),
        ("{ strict }", lambda kind: {"strict": lambda info: kind(None)}, None),
        ("{ thing { must { id } } }", lambda kind: {"thing": {"must": lambda info: kind(None)}}, {"thing": None}),
        (
            "{ thing { all { id } n } }",
            lambda kind: {"thing": {"all": lambda info: [{"id": 1}, kind({"id": lambda info: kind(None)})], "n": 1}},
            {"thing": {"all": None, "n": 1}},
        ),
    ],
)
async def test_every_awaitable_may_fail_or_give_what_does_not_fit(kind: Any, source: str, root: Any, data: Any) -> None:
    answer = await both_later(SCHEMA, source, lambda: root(kind))
    assert answer.data == data
    assert len(answer.problems) == 1


def method(value: object, count: int = 2) -> Any:
    """An attribute that gives a coroutine when it is read."""
    return lambda info: coroutine(value, count)


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("{ name strict }", {"name": method("x"), "strict": None}),
        ("{ name n strict }", {"name": method("x"), "n": method(1), "strict": ValueError("at once")}),
        ("{ thing { name must { id } } }", {"thing": {"name": method("x", 9), "must": {"id": None}}}),
        ("{ thing { name must { id } } }", {"thing": {"name": method("x", 9), "must": method({"id": None}, 0)}}),
        (
            "{ thing { name must { id } } }",
            {"thing": method({"name": method(ValueError("x"), 9), "must": method(None)})},
        ),
        ("{ things { id name } }", {"things": [{"id": 1, "name": method("x")}, {"id": None}]}),
        ("{ things { id words } }", {"things": [{"id": 1, "words": lambda info: [coroutine("a")]}, {"id": None}]}),
        ("{ things { id } }", {"things": lambda info: [coroutine({"id": 1}), {"id": None}, coroutine({"id": 2})]}),
        (
            "{ things { id } }",
            {"things": lambda info: (coroutine(each) for each in ({"id": 1}, {"id": None}, {"id": 2}))},
        ),
        ("{ things { id } }", {"things": lambda info: iter([{"id": None}, coroutine({"id": 2})])}),
        ("{ words }", {"words": lambda info: [coroutine("a", 9), coroutine("b", 9), None, coroutine("c")]}),
        ("{ words strict }", {"words": method([]), "strict": method(ValueError("x"))}),
        ("{ thing { grid } }", {"thing": {"grid": lambda info: [[1, coroutine(2)], None, [coroutine(3)]]}}),
        (
            "{ thing { all { id name } } }",
            {"thing": {"all": method([{"id": 1, "name": method("x", 9)}, {"id": None}])}},
        ),
    ],
)
async def test_an_error_leaves_no_awaitable_behind(source: str, root: dict[str, Any]) -> None:
    """graphql-python/graphql-core#236, #269, #217; strawberry-graphql/strawberry#3820; graphql/graphql-js#3792.

    graphql-core itself leaves some behind, so the engine runs alone. Warnings are errors.
    """
    before = asyncio.all_tasks()
    started = compiled(SCHEMA, source)(root, None, None)
    result = started if isinstance(started, ExecutionResult) else await started
    assert len(result.errors or ()) == 1
    await turns()
    del started, result
    gc.collect()
    assert asyncio.all_tasks() <= before


async def test_cancellation_ends_everything_that_was_started() -> None:
    started: list[str] = []
    ended: list[str] = []

    async def slow(name: str) -> object:
        started.append(name)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)
        return None

    root = {
        "name": lambda info: slow("name"),
        "thing": lambda info: coroutine(
            {"name": lambda info: slow("nested"), "words": lambda info: [slow("a"), slow("b")]}
        ),
        "all": lambda info: [slow("item"), {"name": lambda info: slow("in item")}],
    }
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(compiled(SCHEMA, "{ name thing { name words } all { name } }")(root, None, None))
    await turns()
    assert set(started) == {"name", "nested", "a", "b", "item", "in item"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    gc.collect()
    assert sorted(ended) == sorted(started)
    assert asyncio.all_tasks() <= before


async def test_cancellation_cancels_futures_too() -> None:
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
    root = {"name": futures[0], "thing": {"name": futures[1], "words": [futures[2]]}}
    task = asyncio.ensure_future(compiled(SCHEMA, "{ name thing { name words } }")(root, None, None))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(future.cancelled() for future in futures)


async def test_a_future_stays_for_others_where_a_part_is_null_and_is_cancelled_where_all_is() -> None:
    shared: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    root = {"thing": {"name": shared, "must": coroutine(None)}, "name": shared}
    task = asyncio.ensure_future(compiled(SCHEMA, "{ thing { name must { id } } name }")(root, None, None))
    await turns()
    assert not shared.done()
    shared.set_result("x")
    result = await task
    assert result.data == {"thing": None, "name": "x"}

    alone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    result = await compiled(SCHEMA, "{ name strict }")({"name": alone, "strict": coroutine(None)}, None, None)
    assert result.data is None
    assert alone.cancelled()


async def test_what_is_read_and_given_up_is_closed() -> None:
    class Reading:
        """Each reading of the attribute makes a coroutine."""

        strict = None

        @property
        def name(self) -> object:
            return coroutine("x")

    result = compiled(SCHEMA, "{ strict name }")(Reading(), None, None)
    assert result.data is None
    gc.collect()


@pytest.mark.parametrize("plan", [None, lambda parent_type, name, field: Item(name) if name != "things" else None])
async def test_each_item_is_read_once_also_where_another_is_missing(plan: Any) -> None:
    read: list[str] = []

    class Reading:
        """Each reading of an item makes a coroutine."""

        def __getattr__(self, name: str) -> object:
            if name not in ("name", "id"):
                raise AttributeError(name)
            read.append(name)
            return coroutine(name)

        __getitem__ = __getattr__

    root = {"things": [Reading(), Reading(), Reading()]}
    result = await compiled(SCHEMA, "{ things { name n id } }", plan=plan)(root, None, None)
    assert result.data == {"things": [{"name": "name", "n": None, "id": "id"}] * 3}
    assert len(result.errors or ()) == (0 if plan is None else 3)
    assert read == ["name", "id"] * 3
    gc.collect()


async def test_siblings_wait_together() -> None:
    running = 0
    most = 0

    async def slow() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await turns(3)
        running -= 1
        return "x"

    schema = schema_of(SDL, Thing_name=lambda source, info: slow(), Query_name=lambda source, info: slow())
    answer = await both_later(
        schema, "{ name thing { name a: name } all { name } }", {"thing": {}, "all": [{}, {}, {}]}
    )
    assert answer.problems == ()
    assert most == 6


async def test_errors_that_come_one_after_another_are_in_their_order() -> None:
    def root() -> dict[str, Any]:
        return {
            "name": coroutine(ValueError("third"), 9),
            "n": coroutine(ValueError("second"), 5),
            "any": ValueError("first"),
        }

    answer = await both_later(SCHEMA, "{ name n any }", root)
    assert [message for message, _ in errors_of(answer)] == ["first", "second", "third"]


async def test_a_list_of_very_many_awaitables() -> None:
    root = {"all": lambda info: [coroutine({"id": coroutine(n)}, n % 3) for n in range(2_000)]}
    answer = await both_later(SCHEMA, "{ all { id } }", root)
    assert answer.data["all"] == [{"id": str(n)} for n in range(2_000)]


async def test_one_compiled_operation_runs_many_times_at_once() -> None:
    execute = compiled(SCHEMA, "query ($n: Boolean!) { name @include(if: $n) thing { id } }")

    async def one(number: int) -> None:
        root = {
            "name": coroutine(f"n{number}", number % 5),
            "thing": coroutine({"id": coroutine(number, number % 3)}, number % 4),
        }
        shown = number % 2 == 0
        if not shown:
            root["name"].close()
        result = await execute(root, None, {"n": shown})
        expected: dict[str, object] = {"name": f"n{number}"} if shown else {}
        assert result.data == {**expected, "thing": {"id": str(number)}}

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(one(number))
