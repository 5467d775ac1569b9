"""Sampled stacks belong to the step of a request that called them, and the files that decide it exist."""

import inspect
from collections.abc import Callable
from typing import Any

import graphql.execution
import pymongo
import pytest
import redis.asyncio.connection
from bson.objectid import ObjectId
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.lib.request_steps import REST, step_of
from datasources.accounts.sessions import SessionStore
from datasources.mongo.lenient_reads import readable
from datasources.redis.read_through import Cache
from resolvers.transport.documents import Documents
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.http import GraphQLHTTP

LOOP = ["/usr/lib/python3.11/asyncio/runners.py", "run"]
GRAPHQL = [graphql.execution.__file__, "execute"]
MONGODB = [pymongo.__file__, "find_one"]


def _frame(function: Callable[..., Any]) -> list[str]:
    return [inspect.getfile(function), function.__name__]


RUN, EXECUTE = _frame(GraphQLHTTP.__call__), _frame(OperationExecutor.run)


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        ([MONGODB, _frame(SessionStore.authenticate), RUN, LOOP], "session"),
        ([[graphql.__file__, "parse"], _frame(Documents.operation), RUN, LOOP], "document, limits, plan"),
        ([_frame(readable), GRAPHQL, EXECUTE, RUN, LOOP], "decode records"),
        ([[redis.asyncio.connection.__file__, "read_response"], _frame(Cache.read), GRAPHQL, LOOP], "Redis"),
        ([MONGODB, GRAPHQL, EXECUTE, RUN, LOOP], "MongoDB"),
        ([_frame(ObjectId.__hash__), GRAPHQL, EXECUTE, RUN, LOOP], "execute, resolve, rules"),
        ([_frame(HttpToolsProtocol.data_received), LOOP], REST),
        ([LOOP], REST),
    ],
)
def test_stack_belongs_to_a_step(stack: list[list[str]], step: str) -> None:
    assert step_of(stack) == step
