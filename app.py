"""The composition root of the API: settings become a Starlette application; importing this opens nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from config import Settings
from datasources.live import POLL_SECONDS, session_topic
from datasources.logs import configure_logging
from datasources.sources import Sources, is_outage, open_sources
from domain.records import SessionRecord
from resolvers.api import schema
from resolvers.transport.admission import Admission
from resolvers.transport.drain import Drain
from resolvers.transport.engine import Engine, Hooks
from resolvers.transport.health import Health
from resolvers.transport.routes import middleware, routes
from schema.context import BadToken, Context


def create_app(settings: Settings) -> Starlette:
    """The application; it opens its sources when it starts and closes them when it stops."""
    configure_logging(settings.log_format, settings.log_level)
    opened = _Opened()

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with open_sources(settings) as sources:
            opened.sources = sources
            yield

    engine = Engine(
        schema,
        opened.hooks(),
        operation_timeout=settings.operation_timeout,
        admission=Admission(settings.cost_at_once, settings.admission_timeout),
        introspection=settings.allows_introspection,
    )
    drain = Drain()
    # Without Redis or S3 nearly everything can still be served, so their absence must not take the API out of balance.
    health = Health({"mongodb": opened.ping_mongo}, drain, is_stuck=opened.is_stuck)
    app = Starlette(
        routes=routes(engine, drain, health, graphiql=settings.graphiql, form_timeout=settings.file_timeout),
        middleware=middleware(settings.origins, compress=settings.compression),
        lifespan=lifespan,
    )
    app.state.drain = drain
    return app


class _Opened:
    """The sources, once they are open, and what the transports ask of them."""

    sources: Sources

    def hooks(self) -> Hooks:
        return Hooks(
            authenticate=self._authenticate,
            make_context=self._context,
            watch=self._revoked,
            is_outage=is_outage,
            account=lambda session: session.user_id,
            stranger=BadToken,
        )

    async def ping_mongo(self) -> None:
        await self.sources.ping_mongo()

    def is_stuck(self) -> bool:
        return self.sources.watchdog.stuck.is_set()

    async def _authenticate(self, token: str | None) -> SessionRecord | None:
        return None if token is None else await self.sources.sessions.authenticate(token)

    def _context(self, identity: SessionRecord | BadToken | None, request_id: str, address: str) -> Context:
        return Context(self.sources, identity, request_id, address)

    async def _revoked(self, session: SessionRecord) -> None:
        """Returns when the session is over; a lost message or an outage costs a look every `POLL_SECONDS`."""
        async with self.sources.live.listen(session_topic(session.id)) as news:
            while not await self._is_over(session):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await news.wait()
                news.clear()

    async def _is_over(self, session: SessionRecord) -> bool:
        try:
            return await self.sources.sessions.by_id(session.id) is None
        except Exception as error:
            if not is_outage(error):
                raise
            return False
