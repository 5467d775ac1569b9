"""Objects that last: what is read from one, or computed of it alone, is taken as it was, and everything else is not."""

import os
import random
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLField, GraphQLObjectType, parse

from engine import Attribute, Call, Compute, KeptObjects, Load, Plan, Unsupported, compile_operation
from tests.engine.comparison import Answer, Order, Problem, described, differences, position_types
from tests.engine.random_cases.cases import Case, by_graphql_core, definition_of, random_cases, without_propagation
from tests.engine.random_cases.stages import Mode, Stage
from tests.engine.random_cases.values import make
from tests.engine.running import schema_of, turns

SDL = """
type Place { name: String! x: Int y: Int z: Int }
type User { id: ID! name: String age: Int size: Int city: String strict: Int! }
type Post { id: ID! title: String place: Place tags: [String!] author: User liked: Boolean! must: User!
  greet(name: String): String places: [Place!] }
type Query { posts: [Post] post: Post }
"""
ALL = frozenset({"Post", "User", "Place"})
ANSWERS = int(os.environ.get("PHOTOGRAM_ENGINE_CASES") or 2_000) // 32  # each is executed eight times


class Thing:
    """Anything with attributes; it counts how often each is read."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.reads: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        try:
            value = self.values[name]
        except KeyError:
            raise AttributeError(name) from None
        self.reads[name] += 1
        return value() if callable(value) else value


class World:
    """Posts, whom their authors' ids lead to, and what the viewer likes."""

    def __init__(self, *posts: Thing, users: dict[int, Thing] | None = None) -> None:
        self.posts = posts
        self.users = users or {}
        self.liked: set[int] = set()
        self.is_later = False

    def batch(self, keys: Sequence[Any]) -> list[Any] | Awaitable[list[Any]]:
        values = [self.users.get(key) for key in keys]
        return self._later(values) if self.is_later else values

    async def _later(self, values: list[Any]) -> list[Any]:
        await turns()
        return values


class Likes:
    def __init__(self, world: World) -> None:
        self._world = world

    def batch(self, keys: Sequence[Any]) -> list[Any]:
        return [key in self._world.liked for key in keys]


def _plan(parent_type: GraphQLObjectType, name: str, _: GraphQLField) -> Plan | None:
    if parent_type.name == "Query":
        return Call(lambda **_: None) if name == "never" else None
    match name:
        case "author" | "must":
            return Load(lambda world: world, "author_id")
        case "liked":
            return Load(Likes, "number")
        case "id":
            return Compute(lambda thing: f"{parent_type.name}:{thing.number}")
        case "greet":
            return Call(lambda post, name: f"{post.title} greets {name}", source="")
    return Attribute(name)


def executing(world: World, source: str, *, lasting: frozenset[str] = ALL, max_objects: int = 100) -> Callable[[], Any]:
    """What executes an operation; it is compiled once."""
    schema = schema_of(
        SDL, Query_posts=lambda world, _: list(world.posts), Query_post=lambda world, _: next(iter(world.posts), None)
    )
    kept = KeptObjects(lambda object_type: object_type.name in lasting, max_objects)
    operation = compile_operation(schema, parse(source), plan=_plan, kept=kept)

    def execute() -> Any:
        result = operation.execute(world, world)
        assert isinstance(result, ExecutionResult) or world.is_later
        return result

    return execute


def test_what_lasts_is_read_no_more_and_the_rest_is() -> None:
    post = Thing(number=1, title="a", place=None, tags=["x"], author_id=7)
    world = World(post, users={7: Thing(number=7, name="ana")})
    execute = executing(world, '{ posts { liked id title tags author { id name } greet(name: "bob") } }')
    first = execute().data
    assert first == {
        "posts": [
            {"liked": False, "id": "Post:1", "title": "a", "tags": ["x"], "author": {"id": "User:7", "name": "ana"},
             "greet": "a greets bob"}
        ]
    }  # fmt: skip
    assert execute().data == first
    reads = post.reads["tags"]
    world.liked, world.users[7] = {1}, Thing(number=7, name="eva")
    later = execute().data
    assert post.reads["tags"] == reads, "it is kept"
    assert later == {"posts": [{**first["posts"][0], "liked": True, "author": {"id": "User:7", "name": "eva"}}]}
    assert list(later["posts"][0]) == ["liked", "id", "title", "tags", "author", "greet"], "the order of the operation"
    world.posts = (Thing(number=1, title="b", place=None, tags=[], author_id=7),)
    assert execute().data["posts"][0]["title"] == "b", "another object"


def test_types_that_do_not_last_are_read_each_time() -> None:
    post = Thing(number=1, title="a", tags=["x"])
    execute = executing(World(post), "{ posts { id title tags } }", lasting=frozenset())
    for _ in range(4):
        execute()
    assert post.reads["tags"] == 4


def test_what_is_below_what_lasts_is_kept_with_it() -> None:
    place = Thing(name="here", x=1, y=2, z=3)
    post = Thing(number=1, title="a", place=place, places=[place, place])
    execute = executing(World(post), "{ posts { id place { name x y z } places { name } liked } }")
    answers = [execute().data for _ in range(4)]
    assert answers[0] == answers[3]
    assert answers[0]["posts"][0]["places"] == [{"name": "here"}] * 2
    assert place.reads["x"] == 3, "twice in full, and once to be kept"


def test_errors_are_reported_each_time() -> None:
    def broken() -> None:
        raise RuntimeError("no tags")

    post = Thing(number=1, title=3.5j, tags=broken, place=Thing(name=None, x=1 << 40))
    execute = executing(World(post), "{ posts { id title tags place { x } liked } }")
    answers = [described(execute()) for _ in range(4)]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0].problems) == 3


def test_an_object_that_is_nulled_is_nulled_each_time() -> None:
    world = World(Thing(number=1, title="a", author_id=None), Thing(number=2, title="b", author_id=7))
    world.users[7] = Thing(number=7, name="ana", strict=None, age=1)
    execute = executing(world, "{ posts { id title must { id strict } } }")
    for _ in range(4):
        assert described(execute()).data == {"posts": [None, None]}
        assert len(execute().errors) == 2
    world.posts[0].values["author_id"] = 8
    world.users[8] = Thing(number=8, strict=1)
    answer = execute().data
    assert answer == {"posts": [{"id": "Post:1", "title": "a", "must": {"id": "User:8", "strict": 1}}, None]}, (
        "the null of one answer is not in the next"
    )


async def test_awaitables_are_awaited_each_time() -> None:
    async def later() -> str:
        return "later"

    post = Thing(number=1, title=later, tags=["x"], author_id=7)
    world = World(post, users={7: Thing(number=7, name="ana")})
    world.is_later = True
    execute = executing(world, "{ posts { id title tags author { id name } } }")
    for _ in range(4):
        answer = (await execute()).data["posts"][0]
        assert answer == {"id": "Post:1", "title": "later", "tags": ["x"], "author": {"id": "User:7", "name": "ana"}}


def test_answers_are_each_other_s_only_where_nothing_can_change() -> None:
    world = World(Thing(number=1, title="a", tags=["x"]))
    execute = executing(world, "{ posts { id title tags liked } }")
    before = [execute().data for _ in range(3)][-1]
    world.liked = {1}
    assert execute().data["posts"][0]["liked"]
    assert not before["posts"][0]["liked"], "an answer that was given does not change"


@pytest.mark.parametrize("count", [3, 9])
def test_it_is_bounded(count: int) -> None:
    posts = [Thing(number=number, title=str(number), tags=[]) for number in range(count)]
    world = World(*posts)
    schema = schema_of(SDL, Query_posts=lambda world, _: list(world.posts))
    kept = KeptObjects(lambda object_type: object_type.name in ALL, 5)
    operation = compile_operation(schema, parse("{ posts { id title tags } }"), plan=_plan, kept=kept)
    for _ in range(5):
        result: Any = operation.execute(world, world)
        assert [each["title"] for each in result.data["posts"]] == [str(number) for number in range(count)]
    (variant,) = operation._variants.values()
    assert variant is not None
    (position,) = [each for each in variant.positions if each.kept is not None]
    assert 0 < len(position.kept.entries) <= 5
    assert (posts[0].reads["tags"] < 5) == (count <= 5)


def test_an_object_that_is_met_once_is_not_kept_alive() -> None:
    world = World(Thing(number=1, title="a", tags=[]))
    execute = executing(world, "{ posts { id title tags } }")
    execute()
    (post,) = world.posts
    left = weakref.ref(post)
    world.posts = ()
    del post
    assert left() is None
    world.posts = (Thing(number=2, title="b", tags=[]),)
    for _ in range(3):
        assert execute().data["posts"][0]["id"] == "Post:2", "also where the other was in memory"


def test_random_operations_over_lasting_data_have_equal_answers(seed: int) -> None:
    """Each is executed four times over the same objects; some of the types last."""
    compared = Counter[str]()
    cases = enumerate(random_cases(seed, 100 * ANSWERS))
    while compared["answers"] < ANSWERS:
        number, case = next(cases)
        if case.mode is Mode.SYNC and not case.loads and case.operation.kind == "query":
            compared += _compare(case, random.Random(f"{seed} {number}"))
    assert compared["with data"] > ANSWERS / 4, compared
    assert compared["with kept objects"] > ANSWERS / 20, compared


def _compare(case: Case, rng: random.Random) -> Counter[str]:
    names = [name for name, kind in case.schema.schema.type_map.items() if isinstance(kind, GraphQLObjectType)]
    lasting = {name for name in names if rng.random() < 0.7}
    kept = KeptObjects(lambda object_type: object_type.name in lasting, rng.choice([3, 1_000]))
    operation, document = case.operation, case.operation.document
    try:
        compiled = compile_operation(case.schema.schema, document, operation.name, plan=case.schema.plan, kept=kept)
    except Unsupported:
        return Counter()
    stage = Stage(case.mode, case.loads)
    root = make(case.data, stage)
    by_core = [_answer(by_graphql_core(case, stage, root)) for _ in range(4)]
    if any(each != by_core[0] for each in by_core):
        return Counter(["changing data"])  # it does not last: a generator that is used up
    types = position_types(case.schema.schema, document, definition_of(operation))

    def without_bubbling() -> Sequence[Problem]:
        return _answer(by_graphql_core(case, stage, root, without_propagation(operation))).problems

    for _ in range(4):
        own = _answer(compiled.execute(root, stage, dict(case.variables)))
        # The fields that last are completed before the others, so another error may null an object.
        found = differences(by_core[0], own, order=Order.ANY, types=types, without_bubbling=without_bubbling)
        assert not found, f"{found}\n{lasting}\n{case}"
    stage.close()
    is_kept = any(
        position.kept.entries
        for variant in compiled._variants.values()
        for position in (() if variant is None else variant.positions)
        if position.kept is not None
    )
    return Counter({"answers": 1, "with data": bool(by_core[0].data), "with kept objects": is_kept})


def _answer(result: Any) -> Answer:
    assert isinstance(result, ExecutionResult)
    return described(result)
