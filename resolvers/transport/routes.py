"""The paths of the transports, and the middleware around them."""

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolvers.transport.compression import compression
from resolvers.transport.graphiql import graphiql_routes
from resolvers.transport.health import Health
from resolvers.transport.http import DEVICE, GraphQLHTTP
from resolvers.transport.local_mails import mail_routes
from resolvers.transport.multipart import PREFLIGHT_HEADERS
from resolvers.transport.origins import origin_pattern
from resolvers.transport.request_log import HEADER, RequestLog

GRAPHQL_PATH = "/graphql"
NO_CONTENT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Pages(NamedTuple):
    """The pages to serve: GraphiQL, and the mails of a folder."""

    graphiql: bool = False
    mails: Path | None = None


def routes(endpoint: GraphQLHTTP, health: Health, pages: Pages) -> list[BaseRoute]:
    """`/graphql` over HTTP, `/livez`, `/readyz`, and if asked for `/graphiql`, and `/mails` with those of a folder."""
    return [
        Route(GRAPHQL_PATH, endpoint),
        Route("/livez", health.livez, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        *(graphiql_routes() if pages.graphiql else ()),
        *(() if pages.mails is None else mail_routes(pages.mails)),
    ]


def middleware(socket: ASGIApp, around: Sequence[Middleware]) -> list[Middleware]:
    """Request ids and log lines, `/graphql` over WebSocket, a content security policy, and what `around` has."""
    return [Middleware(RequestLog), Middleware(Sockets, socket=socket), Middleware(ContentPolicy), *around]


def answer_middleware(origins: Sequence[str] = (), *, compress: bool = True) -> list[Middleware]:
    """CORS for pages of these origins, and compression. Credentials are never cookies."""
    cors = Middleware(
        CORSMiddleware,
        allow_origin_regex=origin_pattern(origins).pattern,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", DEVICE, HEADER, *PREFLIGHT_HEADERS],
        expose_headers=[HEADER, "retry-after", *(f"ratelimit-{each}" for each in ("limit", "remaining", "reset"))],
        max_age=86_400,
    )
    return [*([cors] if origins else []), *([compression()] if compress else [])]


class Sockets:
    """ASGI middleware that leads to the socket. Each layer around it would cost every open socket half a kilobyte."""

    def __init__(self, app: ASGIApp, socket: ASGIApp) -> None:
        self._app = app
        self._socket = socket

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        is_socket = scope["type"] == "websocket" and scope["path"] == GRAPHQL_PATH
        return (self._socket if is_socket else self._app)(scope, receive, send)


class ContentPolicy:
    """ASGI middleware: an answer without a content security policy of its own gets one that allows nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("content-security-policy", NO_CONTENT_POLICY)
            await send(message)

        await self._app(scope, receive, secured if scope["type"] == "http" else send)
