"""Serving an application with uvicorn on loopback, in the event loop of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette

from config import Settings
from deploy.local.ports import listen
from domain.limits import REQUEST_HEAD_SECONDS_MAX
from resolvers.transport.server import Server, build_server
from tests.support.toy.app import toy_app
from tests.support.toy.world import World


@dataclass(frozen=True)
class Served:
    """An application that is being served."""

    world: World
    port: int
    server: Server
    app: Starlette

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"


@asynccontextmanager
async def served(
    *,
    drain_timeout: float = 4.0,
    notice: float = 0.0,
    head_seconds: float = REQUEST_HEAD_SECONDS_MAX,
    **options: Any,
) -> AsyncIterator[Served]:
    """The toy on a free port. It is drained at the end."""
    more = {name: options.pop(name) for name in ("max_connections", "hsts") if name in options}
    world = World()
    app = toy_app(world, **options)
    settings = Settings(
        environment="test",
        port=0,
        drain_timeout=drain_timeout,
        drain_notice=notice,
        trusted_proxies=("127.0.0.1",),
        **more,
    )
    async with running(app, settings, head_seconds=head_seconds) as (server, port):
        yield Served(world, port, server, app)


@asynccontextmanager
async def running(
    app: Starlette, settings: Settings, *, head_seconds: float = REQUEST_HEAD_SECONDS_MAX
) -> AsyncIterator[tuple[Server, int]]:
    """Any application on a free port. Yields the server and the port; it is drained at the end."""
    server = build_server(app, settings, head_seconds=head_seconds)
    with closing(listen(settings.host, 0)) as listener:
        serving = asyncio.create_task(server._serve([listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def until(condition: Any, within: float = 5.0) -> None:
    """Waits until `condition()` holds. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
