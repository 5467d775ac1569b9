"""The composition root of the API: makes a Starlette application of settings. Importing this opens nothing."""

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from starlette.applications import Starlette

from config import Settings
from datasources.outages import is_outage
from datasources.rate_limits.points import Charge
from datasources.rate_limits.refused_requests import RefusedRequests
from datasources.sources import Sources, open_sources
from datasources.telemetry.logs import configure_logging
from datasources.telemetry.metrics import readings
from datasources.telemetry.metrics_server import serve_metrics
from datasources.telemetry.tracing import open_tracing
from domain.rate_limits import RateLimited
from domain.records.users import SessionRecord
from resolvers.api import schema
from resolvers.root_fields import MUTATIONS
from resolvers.transport.admission import Admission
from resolvers.transport.application import Application
from resolvers.transport.client_address import UntrustedProxies
from resolvers.transport.drain import Drain
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.health import Health
from resolvers.transport.hooks import Hooks, Watch
from resolvers.transport.operation_metrics import OPERATION_METRICS
from resolvers.transport.process_metrics import read_admission, read_sockets
from resolvers.transport.routes import Pages
from resolvers.transport.websocket_route import GraphQLSocket
from resolvers.verified_only import expect_mutations
from schema.context import BadToken, Context


def create_app(settings: Settings) -> Starlette:
    """The application; it opens its sources when it starts and closes them when it stops."""
    configure_logging(settings.log_format, settings.log_level)
    expect_mutations(settings.unverified_refused, MUTATIONS)
    opened = _Opened()

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        served = readings(partial(read_sockets, socket), partial(read_admission, admission))
        async with (
            open_tracing(settings, "api"),
            open_sources(settings) as sources,
            serve_metrics(settings.metrics_host, settings.metrics_port),
        ):
            opened.sources = sources
            with served:
                yield

    OPERATION_METRICS.know(settings.metrics_operations)
    admission = Admission(settings.cost_at_once, settings.admission_timeout)
    executor = OperationExecutor(
        schema,
        opened.hooks(settings),
        operation_timeout=settings.operation_timeout,
        admission=admission,
        introspection=settings.allows_introspection,
        compile_at=settings.compile_at,
        kept_objects=settings.kept_objects,
    )
    drain = Drain()
    # Without Redis or S3 nearly everything is still served, so their absence must not make the API unready.
    health = Health(
        {"mongodb": opened.ping_mongo},
        drain,
        wanted={"redis": opened.ping_redis, "s3": opened.ping_s3},
        is_stuck=opened.is_stuck,
    )
    origins = settings.origins
    socket = GraphQLSocket(executor, drain, origins=origins, max_sockets=settings.max_sockets)
    app = Application(
        executor,
        health,
        socket,
        form_timeout=settings.file_timeout,
        pages=Pages(settings.serves_graphiql, settings.shown_mails),
        origins=origins,
        compress=settings.compression,
        lifespan=lifespan,
    )
    app.state.drain, app.state.is_stuck = drain, opened.is_stuck
    return app


class _Opened:
    """The sources, once they are open, and what the transport asks of them."""

    sources: Sources

    def hooks(self, settings: Settings) -> Hooks:
        limits = settings.limits_of_clients
        return Hooks(
            authenticate=self._authenticate,
            recall=self._recall,
            make_context=self._context,
            identity_of=lambda context: context.session,
            watch=self._watch,
            is_outage=is_outage,
            account=lambda session: session.user_id,
            name_in_logs=lambda identity: str(identity.user_id) if isinstance(identity, SessionRecord) else None,
            scopes=lambda identity: identity.scopes if isinstance(identity, SessionRecord) else None,
            bad_token_identity=BadToken,
            charge=self._charge,
            owner_of_device=self._owner_of_device,
            refused=RefusedRequests(limits if limits.is_on else None),
            proxies=UntrustedProxies(is_on=settings.environment != "development"),
        )

    async def ping_mongo(self) -> None:
        await self.sources.client.admin.command("ping")

    async def ping_redis(self) -> None:
        await self.sources.redis.ping()

    async def ping_s3(self) -> None:
        await self.sources.blobs.ping()

    def is_stuck(self) -> bool:
        return self.sources.watchdog.stuck.is_set()

    async def _authenticate(self, token: str | None) -> SessionRecord | None:
        return None if token is None else await self.sources.sessions.authenticate(token)

    def _recall(self, token: str) -> SessionRecord | None:
        return self.sources.sessions.recall(token)

    def _context(self, identity: SessionRecord | BadToken | None, request_id: str, address: str) -> Context:
        return Context(self.sources, identity, request_id, address)

    async def _charge(self, identity: SessionRecord | BadToken | None, address: str, cost: int, sender: str) -> Charge:
        if isinstance(identity, SessionRecord):
            return await self.sources.rate_limits.points.take(identity.user_id, identity.id, address, cost)
        points = self.sources.rate_limits.points
        if sender == address:
            return await points.take(None, None, address, cost)
        try:
            return await points.take(None, None, address, cost, device=sender)
        except RateLimited:  # whoever has an old token of the account must not hold up its owner
            return await points.take(None, None, address, cost)

    def _owner_of_device(self, token: str) -> str | None:
        account_id = self.sources.known_devices.account_of(token)
        return None if account_id is None else f"devices of {account_id}"

    def _watch(self, session: SessionRecord, ended: Callable[[], None]) -> Watch:
        return self.sources.session_watch.watch(session, ended)
