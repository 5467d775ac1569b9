"""Runs one operation by graphql-core and by the engine, and expects the same answer of both."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLSchema, build_schema, execute, parse, validate

from engine import compile_operation
from tests.engine.comparison import Answer, described

Resolvers = dict[str, Callable[..., Any]]
"""A resolver by `Type.field`."""


def schema_of(sdl: str, **resolvers: Callable[..., Any]) -> GraphQLSchema:
    """A schema with resolvers, named `Type_field`, `Type__type` for resolve_type, `Type__is` for is_type_of."""
    schema = build_schema(sdl)
    for name, resolver in resolvers.items():
        type_name, _, field_name = name.partition("_")
        kind: Any = schema.type_map[type_name]
        if field_name == "_type":
            kind.resolve_type = resolver
        elif field_name == "_is":
            kind.is_type_of = resolver
        elif field_name == "_output":
            kind.coerce_output_value = resolver
        else:
            kind.fields[field_name].resolve = resolver
    return schema


def compiled(
    schema: GraphQLSchema, source: str | DocumentNode, name: str | None = None, plan: Any = None
) -> Callable[..., Any]:
    """The compiled operation's execute function."""
    document = parse(source) if isinstance(source, str) else source
    assert not (errors := validate(schema, document)), errors
    return compile_operation(schema, document, name, plan=plan).execute


def both(
    schema: GraphQLSchema,
    source: str,
    root: Callable[[], object] | object = None,
    variables: dict[str, Any] | None = None,
    *,
    name: str | None = None,
    context: object = None,
) -> Answer:
    """The answer that both give where nothing is asynchronous. A function as root makes a value for each of them."""
    by_core = execute(schema, parse(source), _root(root), context, variables, name)
    own = compiled(schema, source, name)(_root(root), context, variables)
    assert isinstance(by_core, ExecutionResult)
    assert isinstance(own, ExecutionResult), "nothing is asynchronous"
    return _equal(by_core, own)


async def both_later(
    schema: GraphQLSchema,
    source: str,
    root: Callable[[], object] | object = None,
    variables: dict[str, Any] | None = None,
    *,
    context: object = None,
) -> Answer:
    """The answer that both give where something is asynchronous. Nothing may run, or wait to be awaited, after it."""
    before = asyncio.all_tasks()
    by_core = await _result(execute(schema, parse(source), _root(root), context, variables))
    await turns()
    own = await _result(compiled(schema, source)(_root(root), context, variables))
    answer = _equal(by_core, own)
    await turns()
    assert asyncio.all_tasks() <= before, "tasks are left"
    assert described(own) == answer, "the answer is final"
    gc.collect()  # a coroutine that nobody awaited warns when it goes, and warnings are errors
    return answer


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _result(started: ExecutionResult | Awaitable[ExecutionResult]) -> ExecutionResult:
    return started if isinstance(started, ExecutionResult) else await started


def _equal(by_core: ExecutionResult, own: ExecutionResult) -> Answer:
    answer, reference = described(own), described(by_core)
    assert answer.shape == reference.shape
    assert answer.problems == reference.problems
    return reference


def _root(root: Callable[[], object] | object) -> object:
    return root() if callable(root) and not isinstance(root, type) else root


def errors_of(answer: Answer) -> list[tuple[str, list[str | int] | None]]:
    return [(each.message, None if each.path is None else list(each.path)) for each in answer.problems]
