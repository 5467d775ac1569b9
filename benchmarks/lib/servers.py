"""The servers a benchmark runs on, and the API without HTTP."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from bson import ObjectId

from benchmarks.lib.loads import mongod, valkey
from config import Settings
from datasources.mongo import clock
from datasources.mongo.prepared import ensure_indexes
from datasources.outages import is_outage
from datasources.sources import Sources, open_sources
from datasources.telemetry.logs import configure_logging
from deploy.cli.interpreter_memory import calm_collector
from deploy.local.servers import local_servers
from domain.records.users import SessionRecord
from resolvers.api import schema
from resolvers.transport.documents import GraphQLRequest
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.hooks import Hooks
from schema.context import Context

Result = TypeVar("Result")
MONGO_CACHE = "2G"  # the 256 MB of `photogram run` are a laptop's
UNLIMITED = 20_000  # times the limits of clients: a few do here what millions do elsewhere
NO_S3 = "http://127.0.0.1:9"  # what is measured here never asks for image files


@contextlib.contextmanager
def servers() -> Iterator[Settings]:
    """MongoDB and Valkey of the benchmark's own, in a temporary folder."""
    configure_logging("console", "ERROR")
    settings = Settings(
        environment="test", s3_endpoint_url=NO_S3, log_level="ERROR", log_format="console", rate_limit_factor=UNLIMITED
    )
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder), settings) as running,
    ):
        mongod.cache_clear()  # those of servers that ran before
        valkey.cache_clear()
        yield running


@contextlib.asynccontextmanager
async def stores(settings: Settings) -> AsyncIterator[Sources]:
    """The stores over those servers, with all indexes."""
    async with open_sources(settings) as sources:
        await ensure_indexes(sources.database)
        yield sources


async def widen_cache(sources: Sources) -> None:
    """Gives MongoDB a server's cache: a laptop's is full after a million rows."""
    cache = {"setParameter": 1, "wiredTigerEngineRuntimeConfig": f"cache_size={MONGO_CACHE}"}
    await sources.client.admin.command(cache)


def finish(work: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """Runs it with our processes' event loop and garbage collector. Raises TimeoutError after `seconds`."""
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, seconds))


class Api:
    """The engine that HTTP and the sockets drive, for any viewer."""

    def __init__(self, sources: Sources) -> None:
        async def nobody(_token: str | None) -> None:
            return None

        def context(session: SessionRecord | None, request_id: str, _address: str) -> Context:
            return Context(sources, session, request_id)

        hooks = Hooks(
            authenticate=nobody,
            make_context=context,
            identity_of=lambda context: context.session,
            watch=sources.session_watch.watch,
            is_outage=is_outage,
            account=lambda session: session.user_id,
        )
        self._engine = OperationExecutor(schema, hooks)

    async def run(self, query: str, session: SessionRecord, **variables: Any) -> Any:
        """The data of an answer. Raises RuntimeError for one with errors."""
        operation = self._engine.operation(GraphQLRequest(query, None, variables))
        answer = await self._engine.run(operation, session, "benchmark")
        if "errors" in answer.payload:
            raise RuntimeError(str(answer.payload["errors"])[:500])
        return answer.payload["data"]


def session_of(user_id: ObjectId) -> SessionRecord:
    """The session of a request that this user has sent."""
    now = clock.now()
    ends = now + timedelta(hours=1)
    return SessionRecord(id=ObjectId(), user_id=user_id, created_at=now, last_used_at=now, access_expires_at=ends)
