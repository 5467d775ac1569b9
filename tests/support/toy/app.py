"""The toy schema as an application on the real transports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from resolvers.transport.admission import Admission
from resolvers.transport.application import Application
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.drain import Drain
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.health import Health
from resolvers.transport.hooks import Hooks
from resolvers.transport.routes import Pages
from resolvers.transport.websocket_route import GraphQLSocket
from tests.support.toy.schema import schema
from tests.support.toy.world import Context, Outage, World


def toy_app(  # noqa: PLR0913  each is something that a test sets
    world: World,
    *,
    limits: OperationLimits | None = None,
    admission: Admission | None = None,
    operation_timeout: float = 15.0,
    init_timeout: float = 10.0,
    send_timeout: float = 10.0,
    form_timeout: float = 10.0,
    origins: tuple[str, ...] = (),
    compress: bool = True,
    max_sockets: int = 100,
) -> Application:
    """The toy as an application. The token is the identity; "bad" is a bad token."""

    async def authenticate(token: str | None) -> str | None:
        if world.authentication_down:
            raise Outage
        return None if token == "bad" else token

    def make_context(identity: str | None, request_id: str, address: str) -> Context:
        context = Context(world, identity, request_id, address)
        world.contexts.append(context)
        return context

    hooks = Hooks(
        authenticate=authenticate,
        make_context=make_context,
        identity_of=lambda context: context.identity,
        watch=world.watch,
        is_outage=lambda error: isinstance(error, Outage),
        account=lambda identity: identity,
    )
    executor = OperationExecutor(schema, hooks, limits=limits, operation_timeout=operation_timeout, admission=admission)
    drain = Drain()
    health = Health({"mongo": world.check}, drain, wanted={"s3": world.check_storage}, is_stuck=lambda: world.stuck)
    timeouts = {"init_timeout": init_timeout, "send_timeout": send_timeout}
    socket = GraphQLSocket(executor, drain, origins=origins, max_sockets=max_sockets, **timeouts)
    app = Application(
        executor,
        health,
        socket,
        form_timeout=form_timeout,
        pages=Pages(graphiql=True),
        origins=origins,
        compress=compress,
        lifespan=_lifespan,
    )
    app.state.drain, app.state.is_stuck = drain, lambda: world.stuck
    app.state.world = world
    app.state.admission = admission
    return app


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    yield
