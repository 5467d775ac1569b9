"""Schemas made by Strawberry: whatever its resolvers are wrapped in, the answer is that of graphql-core."""

import asyncio
import enum
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar

import pytest
import strawberry
from graphql import GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission

from tests.engine.comparison import Answer
from tests.engine.running import both_later, errors_of

T = TypeVar("T")


@strawberry.enum
class Colour(enum.Enum):
    RED = "r"
    GREEN = strawberry.enum_value("g", description="as grass")


class Refusing(BasePermission):
    message = "not for you"

    async def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:
        await asyncio.sleep(0)
        return bool(info.context.allowed)


class Shouting(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        return str(next_(source, info, **kwargs)).upper()


@strawberry.interface
class Node:
    id: strawberry.ID

    @strawberry.field
    def kind(self, info: strawberry.Info) -> str:
        return f"{type(self).__name__} {info.field_name} {info.path.key} {info.path.typename}"


@strawberry.type
class User(Node):
    name: str
    secret: strawberry.Private[str] = "s"
    colour: Colour = Colour.RED

    @classmethod
    def is_type_of(cls, value: Any, info: Any) -> bool:
        return isinstance(value, User) or getattr(value, "is_user", False)

    @strawberry.field(permission_classes=[Refusing])  # type: ignore[untyped-decorator]
    def email(self) -> str | None:
        return f"{self.name}@{self.secret}"

    @strawberry.field(extensions=[Shouting()])  # type: ignore[untyped-decorator]
    def loud(self, suffix: str = "!") -> str:
        return self.name + suffix

    @strawberry.field
    @staticmethod
    async def friends(parent: strawberry.Parent["User"], info: strawberry.Info, first: int = 2) -> list["User"]:
        await asyncio.sleep(0)
        fields = [each.name for each in info.selected_fields[0].selections]  # type: ignore[union-attr]
        return [User(id=strawberry.ID(f"{parent.id}{n}"), name=" ".join(fields)) for n in range(first)]


@strawberry.type
class Post(Node):
    author: User

    @classmethod
    def is_type_of(cls, value: Any, info: Any) -> bool:
        return isinstance(value, Post)


@strawberry.type
class Page(Generic[T]):
    items: list[T]
    total: int | None = None


@strawberry.input
class Filter:
    name: str | None = strawberry.UNSET
    colour: Colour | None = strawberry.UNSET
    inner: "Filter | None" = None
    many: list[Colour] = strawberry.field(default_factory=lambda: [Colour.GREEN])


@strawberry.type
class Query:
    @strawberry.field
    def user(self) -> User:
        return User(id=strawberry.ID("1"), name="ann", colour=Colour.GREEN)

    @strawberry.field
    async def nodes(self) -> list[Node]:
        user = User(id=strawberry.ID("2"), name="bob")
        other = SimpleNamespace(is_user=True, id="3", name="cy", colour=Colour.RED)
        return [user, Post(id=strawberry.ID("4"), author=user), other]  # type: ignore[list-item]

    @strawberry.field
    def either(self, *, post: bool = False) -> Annotated[User | Post, strawberry.union("Either")]:
        user = User(id=strawberry.ID("5"), name="di")
        return Post(id=strawberry.ID("6"), author=user) if post else user

    @strawberry.field
    def page(self) -> Page[User]:
        return Page(items=[User(id=strawberry.ID("7"), name="ed")], total=None)

    @strawberry.field
    def told(self, where: Filter | None = strawberry.UNSET, colours: list[Colour] | None = None) -> str:
        return f"{where!r} {colours!r}"

    @strawberry.field
    async def failing(self, *, later: bool) -> str:
        if later:
            await asyncio.sleep(0)
        raise LookupError("not found")


@strawberry.type
class Mutation:
    @strawberry.mutation(permission_classes=[Refusing])  # type: ignore[untyped-decorator]
    async def change(self, info: strawberry.Info, by: int) -> int:
        await asyncio.sleep(0)
        return by * len(info.field_name)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


SCHEMA: GraphQLSchema = strawberry.Schema(Query, Mutation, Subscription, types=[User, Post])._schema


async def answer_of(source: str, variables: dict[str, Any] | None = None, *, allowed: bool = True) -> Answer:
    return await both_later(SCHEMA, source, None, variables, context=SimpleNamespace(allowed=allowed))


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ("{ user { id name colour kind email loud } }", None),
        ('{ user { loud(suffix: "?") email friends(first: 3) { id name kind friends { name } } } }', None),
        ("{ nodes { __typename id kind ... on User { name email colour } ... on Post { author { name } } } }", None),
        ("query ($post: Boolean!) { either(post: $post) { ... on Node { id } ... on Post { kind } } }", {"post": True}),
        ("query ($post: Boolean!) { either(post: $post) { ... on User { loud email } } }", {"post": False}),
        ("{ page { items { name email } total } }", None),
        ("{ told a: told(where: null) b: told(where: {}) c: told(where: {name: null, many: []}) }", None),
        ("query ($w: Filter, $c: [Colour!]) { told(where: $w, colours: $c) }", {"w": {"colour": "RED"}, "c": "RED"}),
        ("query ($w: Filter, $c: [Colour!]) { told(where: $w, colours: $c) }", {"w": {"inner": {"name": None}}}),
        ("query ($w: Filter, $c: [Colour!]) { told(where: $w, colours: $c) }", {"w": {"no": 1}}),
        ("query ($n: String) { told(where: {name: $n, inner: {name: $n}}, colours: [GREEN, RED]) }", {}),
        ("query ($n: String) { told(where: {name: $n}) }", {"n": None}),
    ],
)
async def test_answers_are_equal(source: str, variables: dict[str, Any] | None, *, allowed: bool) -> None:
    answer = await answer_of(source, variables, allowed=allowed)
    refused = [path for message, path in errors_of(answer) if message == "not for you"]
    assert bool(refused) == (not allowed and "email" in source)


async def test_a_permission_decides_each_time() -> None:
    assert (await answer_of("mutation { a: change(by: 1) b: change(by: 2) }")).data == {"a": 6, "b": 12}
    answer = await answer_of("mutation { a: change(by: 1) b: change(by: 2) }", allowed=False)
    assert answer.data is None
    assert errors_of(answer) == [("not for you", ["a"])]


@pytest.mark.parametrize("later", [True, False])
async def test_an_exception_of_a_resolver_is_the_same(*, later: bool) -> None:
    answer = await answer_of("query ($later: Boolean!) { user { id } failing(later: $later) }", {"later": later})
    assert answer.data is None
    assert errors_of(answer) == [("not found", ["failing"])]


async def test_values_that_are_not_set_are_told_from_null() -> None:
    answer = await answer_of("{ a: told b: told(where: {}) c: told(where: {name: null}) }")
    assert "UNSET" in answer.data["a"]
    assert answer.data["b"] != answer.data["c"]
