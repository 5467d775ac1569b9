"""The execution of a subscription's events: the event is the root value."""

import asyncio
from typing import Any

from graphql import ExecutionResult, parse
from graphql.execution import Executor, execute_subscription_event

from engine import compile_operation
from tests.engine.comparison import Answer, described
from tests.engine.running import schema_of

SDL = """
input Where { n: Int = 4 }
type Query { n: Int }
type Item { id: ID! name: String }
type Subscription { item(n: Int = 1, where: Where): Item must: Item! text(n: Int): String }
"""


def given(event: Any, info: Any, **arguments: Any) -> object:
    return f"{event} {arguments}"


SCHEMA = schema_of(SDL, Subscription_text=given)


async def both_events(source: str, event: object, variables: dict[str, Any] | None = None) -> Answer:
    document = parse(source)
    executor = Executor.build(SCHEMA, document, event, "context", variables)
    assert not isinstance(executor, list)
    by_core = execute_subscription_event(executor)
    by_core = by_core if isinstance(by_core, ExecutionResult) else await by_core
    own = compile_operation(SCHEMA, document, None, plan=None).execute(event, "context", variables)
    own = own if isinstance(own, ExecutionResult) else await own
    assert described(own).shape == described(by_core).shape
    assert described(own).problems == described(by_core).problems
    return described(own)


async def test_an_event_is_the_root_value() -> None:
    answer = await both_events("subscription { i: item(n: 3) { name id } }", {"item": {"id": 1, "name": "x"}})
    assert answer.data == {"i": {"name": "x", "id": "1"}}


async def test_literal_arguments_reach_the_resolver() -> None:
    """zalando-incubator/graphql-jit#183"""
    assert (await both_events("subscription { text(n: 5) }", "event")).data == {"text": "event {'n': 5}"}
    answer = await both_events("subscription ($n: Int) { text(n: $n) }", "event", {"n": 6})
    assert answer.data == {"text": "event {'n': 6}"}


async def test_an_event_that_fails_is_an_answer() -> None:
    for event in ({"item": ValueError("x")}, {"item": {"id": None}}, {}, None):
        await both_events("subscription { item { id } }", event)
    assert (await both_events("subscription { must { id } }", {"must": None})).data is None


async def test_an_event_may_be_asynchronous() -> None:
    async def item(info: Any, **arguments: Any) -> object:
        await asyncio.sleep(0)
        return {"id": arguments["n"]}

    assert (await both_events("subscription { item { id } }", {"item": item})).data == {"item": {"id": "1"}}
