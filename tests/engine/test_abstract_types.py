"""Interfaces and unions: how the type of a value is found, and what happens if it is not."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import execute_sync, parse

from engine import compile_operation
from tests.engine.running import both, both_later, errors_of, schema_of, turns

SDL = """
interface Pet { name: String }
interface Loud implements Pet { name: String volume: Int }
type Dog implements Pet & Loud { name: String volume: Int woofs: Boolean }
type Cat implements Pet { name: String meows: Boolean }
type Rock { weight: Int }
union Any = Dog | Cat | Rock
enum Kind { ONE }
type Query { pet: Pet pets: [Pet!] any: Any anys: [Any] loud: Loud dog: Dog }
"""
SOURCE = (
    "{ pets { __typename name ... on Dog { woofs } ... on Loud { volume } ...C } anys { __typename "
    "...C ... on Rock { weight } ... on Pet { name } } } fragment C on Cat { meows }"
)
DOG = {"kind": "Dog", "name": "Rex", "volume": 9, "woofs": True}
CAT = {"kind": "Cat", "name": "Tom", "meows": True}
ROCK = {"kind": "Rock", "weight": 3}
ROOT = {"pets": [DOG, CAT], "anys": [ROCK, DOG, None, CAT]}
EXPECTED = {
    "pets": [
        {"__typename": "Dog", "name": "Rex", "woofs": True, "volume": 9},
        {"__typename": "Cat", "name": "Tom", "meows": True},
    ],
    "anys": [
        {"__typename": "Rock", "weight": 3},
        {"__typename": "Dog", "name": "Rex"},
        None,
        {"__typename": "Cat", "meows": True, "name": "Tom"},
    ],
}


def kind(value: Any, *_: object) -> object:
    return value["kind"]


async def kind_later(value: Any, *_: object) -> object:
    await asyncio.sleep(0)
    return value["kind"]


def test_by_a_function() -> None:
    assert both(schema_of(SDL, Pet__type=kind, Any__type=kind), SOURCE, ROOT).data == EXPECTED


async def test_by_a_function_that_answers_later() -> None:
    """rmosolgo/graphql-ruby#5618; graphql/graphql-js#3494"""
    assert (await both_later(schema_of(SDL, Pet__type=kind_later, Any__type=kind_later), SOURCE, ROOT)).data == EXPECTED


async def test_by_a_function_of_which_only_some_answers_come_later() -> None:
    def some(value: Any, *rest: object) -> object:
        return kind_later(value) if value["kind"] == "Dog" else value["kind"]

    assert (await both_later(schema_of(SDL, Pet__type=some, Any__type=some), SOURCE, ROOT)).data == EXPECTED


def test_by_is_type_of() -> None:
    checks = {f"{name}__is": lambda value, info, name=name: value["kind"] == name for name in ("Dog", "Cat", "Rock")}
    assert both(schema_of(SDL, **checks), SOURCE, ROOT).data == EXPECTED


async def test_by_is_type_of_later() -> None:
    async def check(value: Any, name: str) -> bool:
        await asyncio.sleep(0)
        return bool(value["kind"] == name)

    checks = {f"{name}__is": lambda value, info, name=name: check(value, name) for name in ("Dog", "Cat", "Rock")}
    assert (await both_later(schema_of(SDL, **checks), SOURCE, ROOT)).data == EXPECTED


async def test_by_is_type_of_of_which_some_are_later_and_a_later_type_says_yes_at_once() -> None:
    async def no() -> bool:
        return False

    schema = schema_of(SDL, Dog__is=lambda value, info: no(), Cat__is=lambda value, info: True)
    assert (await both_later(schema, "{ pet { __typename name } }", {"pet": CAT})).data["pet"]["__typename"] == "Cat"


class Dog(SimpleNamespace):
    pass


class Cat(SimpleNamespace):
    pass


class Pet(SimpleNamespace):
    """A dog or a cat."""


def test_by_class_without_asking_where_one_type_alone_names_it() -> None:
    asked = list[type]()

    def check(value: Any, name: str) -> bool:
        asked.append(type(value))
        return bool((value if type(value) is dict else vars(value))["kind"] == name)

    def classes(of: Any) -> Sequence[type]:
        return {"Dog": [Dog, Pet], "Cat": [Cat, Pet]}.get(of.name, [])

    checks = {f"{name}__is": lambda value, info, name=name: check(value, name) for name in ("Dog", "Cat", "Rock")}
    schema, root = (
        schema_of(SDL, **checks),
        {"pets": [Dog(**DOG), Cat(**CAT), Pet(**CAT), DOG], "anys": [Cat(**CAT), ROCK]},
    )
    expected = execute_sync(schema, parse(SOURCE), root)
    asked.clear()
    assert compile_operation(schema, parse(SOURCE), classes=classes).execute(root) == expected
    assert Pet in asked
    assert {Dog, Cat}.isdisjoint(asked)


def test_by_typename() -> None:
    class Dog:
        __typename = "Dog"
        name, volume, woofs = "Rex", 9, True

    class Puppy(Dog):
        pass

    assert both(schema_of(SDL), "{ any { __typename } }", {"any": {"__typename": "Rock"}}).data == {
        "any": {"__typename": "Rock"}
    }
    for value in (Dog(), Puppy()):
        answer = both(
            schema_of(SDL), "{ pet { name ... on Dog { woofs } } loud { volume } }", {"pet": value, "loud": value}
        )
        assert answer.data == {"pet": {"name": "Rex", "woofs": True}, "loud": {"volume": 9}}


@pytest.mark.parametrize("claim", [None, 5, "Nothing", "Kind", "Rock", "Pet", "Query", "", ["Dog"], SimpleNamespace])
async def test_a_wrong_type_is_an_error(claim: object) -> None:
    async def answer_later() -> object:
        return claim

    schema = schema_of(SDL, Pet__type=lambda *_: claim)
    answer = both(schema, "{ pet { name } pets { name } }", {"pet": DOG, "pets": [DOG]})
    assert answer.data == {"pet": None, "pets": None}
    assert [path for _, path in errors_of(answer)] == [["pet"], ["pets", 0]]
    schema = schema_of(SDL, Pet__type=lambda *_: answer_later())
    await both_later(schema, "{ pet { name } }", {"pet": DOG})


def test_a_type_that_cannot_be_told_is_an_error() -> None:
    answer = both(schema_of(SDL), "{ pet { name } any { ... on Dog { name } } }", {"pet": {"name": "x"}, "any": object})
    assert answer.data == {"pet": None, "any": None}


def test_a_type_function_that_raises_is_an_error_of_its_item() -> None:
    def raises(value: Any, *_: object) -> str:
        if value["kind"] == "Cat":
            raise ValueError("no type")
        return "Dog"

    answer = both(schema_of(SDL, Any__type=raises), "{ anys { __typename } }", {"anys": [DOG, CAT, DOG]})
    assert answer.data == {"anys": [{"__typename": "Dog"}, None, {"__typename": "Dog"}]}
    assert errors_of(answer) == [("no type", ["anys", 1])]


def test_is_type_of_is_asked_for_each_value_and_may_refuse() -> None:
    asked = []

    def check(value: Any, info: Any) -> bool:
        asked.append(value["name"])
        return bool(value["name"] != "Tom")

    schema = schema_of(SDL, Dog__is=check, Pet__type=lambda *_: "Dog")
    answer = both(schema, "{ dog { name } pets { name } }", {"dog": {"name": "Tom"}, "pets": [DOG, {"name": "Rex"}]})
    assert answer.data == {"dog": None, "pets": [{"name": "Rex"}, {"name": "Rex"}]}
    assert errors_of(answer)[0] == ("Expected value of type 'Dog' but got: {'name': 'Tom'}.", ["dog"])
    assert asked == ["Tom", "Rex", "Rex"] * 2


async def test_is_type_of_that_refuses_later() -> None:
    async def refuse() -> bool:
        return False

    answer = await both_later(schema_of(SDL, Dog__is=lambda *_: refuse()), "{ dog { name } }", {"dog": DOG})
    assert answer.data == {"dog": None}


@pytest.mark.parametrize("is_first_later", [True, False])
@pytest.mark.parametrize("is_second_later", [True, False])
async def test_is_type_of_that_raises_is_an_error_of_the_value(is_first_later: bool, is_second_later: bool) -> None:
    """graphql/graphql-js's union and interface cases: no awaitable is left where a later type raises or says yes."""

    def raises(message: str, *, is_later: bool) -> Any:
        async def raise_later() -> bool:
            await asyncio.sleep(0)
            raise ValueError(message)

        def check(value: Any, info: object) -> Any:
            if is_later:
                return raise_later()
            raise ValueError(message)

        return check

    schema = schema_of(
        SDL, Dog__is=raises("dog", is_later=is_first_later), Cat__is=raises("cat", is_later=is_second_later)
    )
    answer = await both_later(schema, "{ pet { name } }", {"pet": CAT})
    assert answer.data == {"pet": None}
    answer = await both_later(schema, "{ any { ... on Dog { name } } dog { name } }", {"any": CAT, "dog": DOG})
    assert answer.data == {"any": None, "dog": None}
    schema = schema_of(SDL, Dog__is=raises("dog", is_later=True), Cat__is=lambda value, info: True)
    answer = await both_later(schema, "{ pets { name } }", {"pets": [CAT]})
    assert answer.data == {"pets": [{"name": "Tom"}]}


async def test_is_type_of_of_an_object_that_says_yes_later_and_whose_fields_come_later() -> None:
    async def yes() -> bool:
        await asyncio.sleep(0)
        return True

    async def name(source: Any, info: object) -> object:
        await asyncio.sleep(0)
        return source["name"]

    schema = schema_of(SDL, Dog__is=lambda value, info: yes(), Dog_name=name, Pet__type=kind)
    for _ in range(2):
        answer = await both_later(schema, "{ dog { name } pets { name } }", {"dog": DOG, "pets": [DOG, DOG]})
        assert answer.data == {"dog": {"name": "Rex"}, "pets": [{"name": "Rex"}] * 2}


async def test_is_type_of_is_asked_for_all_items_at_the_same_time() -> None:
    asked = 0
    most = 0

    async def check() -> bool:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        await turns(3)
        asked -= 1
        return True

    schema = schema_of(SDL, Dog__is=lambda value, info: check(), Pet__type=kind)
    answer = await both_later(schema, "{ pets { name } }", {"pets": [DOG, DOG, DOG]})
    assert answer.problems == ()
    assert most == 3


def test_a_path_names_the_object_types_on_its_way() -> None:
    seen: list[object] = []

    def look(source: object, info: Any) -> int:
        path = info.path
        while path:
            seen.append((path.key, path.typename))
            path = path.prev
        return 1

    schema = schema_of(SDL, Any__type=kind, Rock_weight=look)
    both(schema, "{ a: anys { ... on Rock { w: weight } } }", {"anys": [DOG, ROCK]})
    assert seen == [("w", "Rock"), (1, None), ("a", "Query")] * 2


def test_type_functions_get_an_info_that_knows_the_field() -> None:
    seen: list[object] = []

    def look(value: Any, info: Any, abstract: Any) -> str:
        seen.append((info.field_name, info.path.as_list(), str(info.return_type), str(info.parent_type), abstract.name))
        seen.append(
            (info.context, info.variable_values.coerced, info.is_awaitable(1), info.schema.get_possible_types(abstract))
        )
        return "Dog"

    both(
        schema_of(SDL, Pet__type=look),
        "query ($x: Int = 3) { p: pets { name ...F @skip(if: false) } } fragment F on Pet { name }".replace(
            "($x: Int = 3) ", ""
        ),
        {"pets": [DOG, DOG]},
        context="context",
    )
    half = len(seen) // 2
    assert seen[:half] == seen[half:]
    assert seen[0] == ("pets", ["p"], "[Pet!]", "Query", "Pet")
