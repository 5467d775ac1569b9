"""Batch fields: all keys of a level in one call of a loader, and the answer that a resolver with the loader gives."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLField, GraphQLObjectType, execute, parse

from engine import Load
from tests.engine.comparison import Answer, described
from tests.engine.running import compiled, errors_of, schema_of, turns

SDL = """
interface Node { id: ID }
type User implements Node { id: ID name: String boss: User friends: [User!] strictFriends: [User!]!
  badge: String must: User! }
type Post implements Node { id: ID author: User mustAuthor: User! title: String }
type Query { posts: [Post] user: User node: [Node] strict: [Post!]! }
type Mutation { change: User }
"""
KEYS = {"boss": "boss_id", "author": "author_id", "mustAuthor": "author_id", "must": "boss_id", "badge": "id"}
LISTS = {"friends": "friend_ids", "strictFriends": "friend_ids"}


def user(number: int, *, boss: int | None = None, friends: Sequence[int] = ()) -> Any:
    return SimpleNamespace(
        id=number, name=f"u{number}", boss_id=boss, friend_ids=list(friends), _SimpleNamespace__typename="User"
    )


def post(number: int, author: int | None) -> Any:
    return SimpleNamespace(id=number, title=f"p{number}", author_id=author, _SimpleNamespace__typename="Post")


@dataclass
class Users:
    """A loader of users by id."""

    users: dict[int, Any]
    at_once: bool = False
    wait: int = 2
    batches: list[list[Any]] = field(default_factory=list)
    answer: Callable[[list[Any]], list[Any]] | None = None

    def batch(self, keys: Sequence[Any]) -> list[Any] | Awaitable[list[Any]]:
        self.batches.append(list(keys))
        return self._values(keys) if self.at_once else self._later(keys)

    async def _later(self, keys: Sequence[Any]) -> list[Any]:
        await turns(self.wait)
        return self._values(keys)

    def _values(self, keys: Sequence[Any]) -> list[Any]:
        values = [self.users.get(key) for key in keys]
        return self.answer(values) if self.answer else values

    async def load(self, key: Any) -> Any:
        value = self.users.get(key)
        await asyncio.sleep(0)
        if isinstance(value, Exception):
            raise value
        return value


async def _resolve_list(keys: Sequence[Any], users: Users) -> list[Any]:
    values = [await users.load(key) for key in keys]
    return [value for value in values if value is not None]


def resolver_of(name: str) -> Callable[..., Any]:
    def resolve(source: Any, info: Any) -> Any:
        if name in LISTS:
            return _resolve_list(getattr(source, LISTS[name]), info.context)
        key = getattr(source, KEYS[name])
        return None if key is None else _read(info.context, key, name)

    return resolve


async def _read(users: Users, key: Any, name: str) -> Any:
    value = await users.load(key)
    return badge(value) if name == "badge" else value


def badge(value: Any) -> str | None:
    return None if value is None else f"badge of {value.name}"


SCHEMA = schema_of(
    SDL,
    **{
        f"{kind}_{name}": resolver_of(name)
        for kind in ("User",)
        for name in ("boss", "friends", "strictFriends", "badge", "must")
    },
    **{f"Post_{name}": resolver_of(name) for name in ("author", "mustAuthor")},
)


def plan(parent: GraphQLObjectType, name: str, definition: GraphQLField) -> Load | None:
    if name in LISTS:
        return Load(lambda context: context, LISTS[name], many=True)
    if name in KEYS:
        return Load(lambda context: context, KEYS[name], read=badge if name == "badge" else None)
    return None


PEOPLE = {
    1: user(1, boss=2, friends=[2, 3, 9]),
    2: user(2, boss=3, friends=[]),
    3: user(3, boss=None, friends=[1, 1]),
    4: user(4, boss=9),
    5: ValueError("no user 5"),
    6: user(6, boss=5, friends=[1, 5, 2]),
}
ROOT = SimpleNamespace(
    posts=[post(1, 1), post(2, None), post(3, 2), None, post(4, 1), post(5, 9), post(6, 5), post(7, 6)],
    user=PEOPLE[1],
    strict=[post(1, 1), post(2, 4)],
    node=[post(1, 1), PEOPLE[6], post(2, 2)],
)


async def answers(source: str, users: Users, root: object = ROOT, variables: dict[str, Any] | None = None) -> Answer:
    """The answer of batch fields, which is that of resolvers; errors may come in another order."""
    by_core: Any = execute(SCHEMA, parse(source), root, Users(users.users), variables)
    by_core = by_core if isinstance(by_core, ExecutionResult) else await by_core
    started = compiled(SCHEMA, source, plan=plan)(root, users, variables)
    own = started if isinstance(started, ExecutionResult) else await started
    reference, answer = described(by_core), described(own)
    assert answer.shape == reference.shape
    assert sorted(map(str, answer.problems)) == sorted(map(str, reference.problems))
    return answer


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        "{ posts { author { name boss { name boss { name } } } } }",
        "{ posts { a: author { name } title b: author { id boss { name } } author { badge } } }",
        "{ posts { author { friends { name boss { id } } badge } } user { friends { friends { id } } } }",
        "{ user { boss { boss { boss { boss { name } } } } strictFriends { must { id } } } }",
        "{ node { id ... on Post { author { id } } ... on User { x: boss { id } friends { id } } } }",
        (
            "{ posts { ...F title } }"
            " fragment F on Post { author { ...G } } fragment G on User { name boss { ...H } } fragment H on "
            "User { badge }"
        ),
        "{ posts { mustAuthor { name } } }",
        "{ strict { mustAuthor { name must { id } } } user { id } }",
    ],
)
async def test_answers_are_those_of_resolvers(source: str, at_once: bool) -> None:
    await answers(source, Users(PEOPLE, at_once=at_once))


async def test_the_keys_of_a_level_are_one_call() -> None:
    users = Users(PEOPLE)
    await answers("{ posts { author { name boss { id } } } }", users)
    assert users.batches == [[1, 2, 1, 9, 5, 6], [2, 3, 2, 5]]


def test_values_that_are_known_keep_the_answer_synchronous() -> None:
    people = {number: PEOPLE[number] for number in (1, 2, 3)}
    users = Users(people, at_once=True)
    result = compiled(SCHEMA, "{ user { boss { name boss { name } } friends { name } } }", plan=plan)(ROOT, users, None)
    assert isinstance(result, ExecutionResult)
    assert result.data == {
        "user": {"boss": {"name": "u2", "boss": {"name": "u3"}}, "friends": [{"name": "u2"}, {"name": "u3"}]}
    }


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_loader_that_fails_fails_each_of_its_fields_alone(at_once: bool) -> None:
    """rmosolgo/graphql-ruby#5509"""

    def fail(values: list[Any]) -> list[Any]:
        raise ValueError("down")

    users = Users(PEOPLE, at_once=at_once, answer=fail)
    started = compiled(SCHEMA, "{ posts { title author { name } } user { friends { id } name } }", plan=plan)(
        ROOT, users, None
    )
    answer = described(started if isinstance(started, ExecutionResult) else await started)
    assert answer.data["user"] == {"friends": None, "name": "u1"}
    assert answer.data["posts"][0] == {"title": "p1", "author": None}
    assert errors_of(answer)[0] == ("down", ["posts", 0, "author"])
    assert len(answer.problems) == 7


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7])
async def test_a_loader_that_gives_too_few_or_too_many_values_fails(count: int, at_once: bool) -> None:
    """rmosolgo/graphql-ruby#5509"""
    users = Users(PEOPLE, at_once=at_once, answer=lambda values: [PEOPLE[2]] * count)
    started = compiled(SCHEMA, "{ posts { title author { name } } }", plan=plan)(ROOT, users, None)
    answer = described(started if isinstance(started, ExecutionResult) else await started)
    assert [each and each["author"] for each in answer.data["posts"]] == [None] * 8
    assert len(answer.problems) == 6


async def test_nothing_is_loaded_below_what_failed() -> None:
    """rmosolgo/graphql-ruby#5509"""
    root = SimpleNamespace(strict=[post(1, 5), post(2, 1)])
    users = Users(PEOPLE)
    answer = await answers("{ strict { mustAuthor { name boss { id } } } }", users, root)
    assert answer.data is None
    assert users.batches == [[5, 1]]


async def test_a_source_without_the_key_is_an_error() -> None:
    root = SimpleNamespace(posts=[SimpleNamespace(title="x"), post(1, 1)])
    answer = await answers("{ posts { title author { id } } }", Users(PEOPLE), root)
    assert answer.data == {"posts": [{"title": "x", "author": None}, {"title": "p1", "author": {"id": "1"}}]}


async def test_slow_and_fast_loaders_of_one_level() -> None:
    for wait in (0, 1, 30):
        await answers(
            "{ posts { author { boss { id } } } user { friends { boss { badge } } } }", Users(PEOPLE, wait=wait)
        )


async def test_cancellation_ends_a_load() -> None:
    ended = []

    class Slow(Users):
        async def _later(self, keys: Sequence[Any]) -> list[Any]:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(keys)
            return []

    before = asyncio.all_tasks()
    task = asyncio.ensure_future(
        compiled(SCHEMA, "{ posts { author { id } } user { friends { id } } }", plan=plan)(ROOT, Slow(PEOPLE), None)
    )
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert len(ended) == 2
    assert asyncio.all_tasks() <= before


async def test_a_load_that_is_a_future_is_cancelled_when_nobody_needs_it() -> None:
    futures: list[asyncio.Future[list[Any]]] = []

    class Futures(Users):
        def batch(self, _: Sequence[Any]) -> Awaitable[list[Any]]:
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

    source = "{ posts { author { id } } user { friends { id } must { id } } }"
    task = asyncio.ensure_future(compiled(SCHEMA, source, plan=plan)(ROOT, Futures(PEOPLE), None))
    await turns()
    assert len(futures) == 3
    futures[2].set_result([None])  # must, so that the user is null, and no friends are needed
    await turns()
    assert [each.cancelled() for each in futures] == [False, True, False]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert futures[0].cancelled()


async def test_a_mutation_that_changes_the_loader_is_seen_by_the_fields_after_it() -> None:
    first, second = Users(PEOPLE), Users({2: user(22)})
    holder = SimpleNamespace(users=first)

    def change(source: object, info: Any) -> Any:
        info.context.users = second
        return PEOPLE[1]

    schema = schema_of(SDL, Mutation_change=change)

    def by_holder(parent: GraphQLObjectType, name: str, definition: GraphQLField) -> Load | None:
        return Load(lambda context: context.users, KEYS[name]) if name in KEYS else None

    result = await compiled(schema, "mutation { change { boss { name } } }", plan=by_holder)(None, holder, None)
    assert result.data == {"change": {"boss": {"name": "u22"}}}
    assert first.batches == []
