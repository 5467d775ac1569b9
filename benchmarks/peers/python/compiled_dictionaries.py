"""The project's engine over stored documents: the operation is compiled once."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLField, GraphQLObjectType

from benchmarks.peers.python import feed_data
from benchmarks.peers.python.core_dictionaries import document, schema
from engine import Item, Load, Plan, compile_operation


class Users:
    """A loader of one operation, as asynchronous as a database's."""

    def batch(self, keys: Sequence[str]) -> Any:
        return feed_data.load_users(keys)


def plan(_parent_type: GraphQLObjectType, field_name: str, field: GraphQLField) -> Plan | None:
    if field_name == "author":
        return Load(lambda context: context["users"], Item("authorId"))
    return Item(field_name) if field.resolve is None else None


operation = compile_operation(schema, document, plan=plan)


async def execute(variables: Mapping[str, Any]) -> bytes:
    """The answer to the feed operation, as JSON."""
    executing = operation.execute(None, {"users": Users()}, variables)
    result = await executing if inspect.isawaitable(executing) else executing
    assert isinstance(result, ExecutionResult)
    return orjson.dumps(result.formatted)
