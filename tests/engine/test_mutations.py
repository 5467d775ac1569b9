"""Mutations run one after another."""

import asyncio
from typing import Any

import pytest

from tests.engine.running import both, both_later, compiled, errors_of, schema_of

SDL = """
type Query { n: Int }
type Result { n: Int strict: Int! later: Int }
type Mutation { a(n: Int): Result b(n: Int): Result must(n: Int): Result! c: Int }
"""
LOG: list[str] = []


def at_once(source: object, info: Any, n: int = 0) -> object:
    LOG.append(f"{info.path.key}")
    if n < 0:
        raise ValueError(f"{n}")
    return {"n": n, "strict": None if n == 9 else n}


async def slowly(source: object, info: Any, n: int = 0) -> object:
    LOG.append(f"{info.path.key} starts")
    for _ in range(5):
        await asyncio.sleep(0)
    LOG.append(f"{info.path.key} ends")
    if n < 0:
        raise ValueError(f"{n}")
    return {"n": n, "strict": None if n == 9 else n}


async def field_later(source: Any, info: Any) -> object:
    LOG.append(f"{info.path.as_list()} starts")
    await asyncio.sleep(0)
    LOG.append(f"{info.path.as_list()} ends")
    return source["n"]


SCHEMA = schema_of(SDL, Mutation_a=at_once, Mutation_b=slowly, Mutation_must=slowly, Result_later=field_later)


@pytest.fixture(autouse=True)
def log() -> list[str]:
    LOG.clear()
    return LOG


def halves() -> list[str]:
    """What one execution did; graphql-core and the engine did the same."""
    half = len(LOG) // 2
    assert LOG[:half] == LOG[half:]
    return LOG[:half]


@pytest.mark.parametrize(
    "source",
    [
        "mutation { x: b(n: 1) { n later } y: a(n: 2) { n } z: b(n: 3) { later } }",
        (
            "mutation { ...F ... on Mutation { z: b(n: 3) { later } } }"
            " fragment F on Mutation { x: b(n: 1) { n later } y: a(n: 2) { n } }"
        ),
        (
            "mutation { x: b(n: 1) { n } ...F }"
            " fragment F on Mutation { y: a(n: 2) { n } z: b(n: 3) { later } x: b(n: 1) { later } }"
        ),
    ],
)
async def test_one_ends_before_the_next_starts_also_in_fragments(source: str) -> None:
    """zalando-incubator/graphql-jit#283, #285; ChilliCream/graphql-platform#5807"""
    answer = await both_later(SCHEMA, source)
    assert answer.data == {"x": {"n": 1, "later": 1}, "y": {"n": 2}, "z": {"later": 3}}
    assert halves() == [
        *("x starts", "x ends", "['x', 'later'] starts", "['x', 'later'] ends", "y"),
        *("z starts", "z ends", "['z', 'later'] starts", "['z', 'later'] ends"),
    ]


def test_mutations_that_answer_at_once_keep_the_answer_synchronous() -> None:
    answer = both(SCHEMA, "mutation { x: a(n: 1) { n } y: a(n: 2) { n } x: a(n: 1) { strict } }")
    assert answer.data == {"x": {"n": 1, "strict": 1}, "y": {"n": 2}}
    assert halves() == ["x", "y"]


@pytest.mark.parametrize("skip", [True, False])
async def test_a_skipped_mutation_does_not_run(skip: bool) -> None:
    """zalando-incubator/graphql-jit#172"""
    source = (
        "mutation ($skip: Boolean!) { x: b @skip(if: $skip) { n } ... @include(if: $skip) { y: a { n } "
        "} ...F @skip(if: $skip) z: b { n } } fragment F on Mutation { w: a { n } }"
    )
    answer = await both_later(SCHEMA, source, None, {"skip": skip})
    assert set(answer.data) == ({"y", "z"} if skip else {"x", "w", "z"})
    assert halves() == (["y", "z starts", "z ends"] if skip else ["x starts", "x ends", "w", "z starts", "z ends"])


async def test_mutations_after_a_failed_nullable_one_run() -> None:
    answer = await both_later(
        SCHEMA, "mutation { x: b(n: -1) { n } y: a(n: -2) { n } z: b(n: 9) { strict } w: a(n: 1) { n } }"
    )
    assert answer.data == {"x": None, "y": None, "z": None, "w": {"n": 1}}
    assert [path for _, path in errors_of(answer)] == [["x"], ["y"], ["z", "strict"]]


async def test_mutations_after_a_failed_non_null_one_do_not_run() -> None:
    """graphql/graphql-spec#1182 leaves it open. Execution stops, as in graphql-core: the answer has no data anyway."""
    for source in (
        "mutation { x: a { n } y: must(n: -1) { n } z: a { n } }",
        "mutation { x: a { n } y: must(n: 9) { strict } z: a { n } }",
    ):
        LOG.clear()
        answer = await both_later(SCHEMA, source)
        assert answer.data is None
        assert halves() == ["x", "y starts", "y ends"]


async def test_the_context_is_read_at_the_moment_of_use() -> None:
    """A mutation may change what its context holds, such as loaders, half way."""

    def change(source: object, info: Any, n: int = 0) -> object:
        info.context["n"] = info.context.get("n", 0) + 1
        return {}

    schema = schema_of(SDL, Mutation_a=change, Mutation_b=change, Result_n=lambda source, info: info.context["n"])
    context: dict[str, int] = {}
    result = compiled(schema, "mutation { a { n } b { n } x: a { n } }")(None, context, None)
    assert result.data == {"a": {"n": 1}, "b": {"n": 2}, "x": {"n": 3}}
