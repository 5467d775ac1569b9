"""graphql-core's own execution over stored documents: the operation is parsed and validated once."""

from collections.abc import Mapping
from typing import Any

import orjson
from graphql import ExecutionResult, build_schema, parse, validate
from graphql import execute as execute_operation
from strawberry.dataloader import DataLoader

from benchmarks.peers.python import feed_data
from benchmarks.peers.python.feed_data import Row


async def feed(_root: object, _info: object, first: int, after: str | None = None) -> Row:
    return feed_data.page_of_documents(first, after)


async def author(document: Row, info: Any) -> Row:
    users: DataLoader[str, Row] = info.context["users"]
    return await users.load(document["authorId"])


schema: Any = build_schema(feed_data.SDL)
schema.query_type.fields["feed"].resolve = feed
for name in ("Post", "Comment"):
    schema.type_map[name].fields["author"].resolve = author
document = parse(feed_data.QUERY)
if errors := validate(schema, document):
    raise errors[0]


async def execute(variables: Mapping[str, Any]) -> bytes:
    """The answer to the feed operation, as JSON."""
    context = {"users": DataLoader(feed_data.load_users)}
    executing = execute_operation(schema, document, context_value=context, variable_values=dict(variables))
    result = executing if isinstance(executing, ExecutionResult) else await executing
    return orjson.dumps(result.formatted)
