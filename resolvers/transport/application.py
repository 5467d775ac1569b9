"""Puts the transports together as one application, in which `POST /graphql` takes a short way past the middleware."""

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from resolvers.transport.compression import MIN_BYTES
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.graphiql import PATH as GRAPHIQL_PATH
from resolvers.transport.health import Health
from resolvers.transport.http import GraphQLHTTP, HttpAnswer
from resolvers.transport.request_log import HEADER, RequestLine
from resolvers.transport.routes import GRAPHQL_PATH, NO_CONTENT_POLICY, Pages, answer_middleware, middleware, routes

_ANSWER = "photogram.answer"


class Application(Starlette):
    """`/graphql` over HTTP and WebSocket, `/livez`, `/readyz`, and if asked for `/graphiql` and `/mails`."""

    def __init__(
        self,
        executor: OperationExecutor,
        health: Health,
        socket: ASGIApp,
        *,
        form_timeout: float,
        pages: Pages,
        origins: Sequence[str] = (),
        compress: bool = True,
        lifespan: Lifespan[Any] | None = None,
    ) -> None:
        page = GRAPHIQL_PATH if pages.graphiql else None
        endpoint = GraphQLHTTP(executor, page=page, form_timeout=form_timeout, origins=origins)
        around = answer_middleware(origins, compress=compress)
        self._posts = _Posts(endpoint, around, has_origins=bool(origins), min_bytes=MIN_BYTES if compress else None)
        super().__init__(
            routes=routes(endpoint, health, pages),
            middleware=middleware(socket, around),
            lifespan=lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"] == GRAPHQL_PATH
            and not scope.get("root_path")
        )
        await (self._posts if is_post else super().__call__)(scope, receive, send)


class _Posts:
    """Answers `POST /graphql` as the routes behind the middleware would, without their cost.

    What CORS or compression may change goes through them: answers to pages, and large ones.
    """

    def __init__(
        self, endpoint: GraphQLHTTP, around: Sequence[Middleware], *, has_origins: bool, min_bytes: int | None
    ) -> None:
        self._endpoint = endpoint
        self._headers = [(b"content-security-policy", NO_CONTENT_POLICY.encode())]
        if has_origins:
            self._headers.append((b"vary", b"Origin"))  # what CORS adds to an answer that is not for a page
        self._min_bytes = min_bytes
        self._through_middleware: ASGIApp = _send_answer
        for cls, args, kwargs in reversed(around):
            self._through_middleware = cls(self._through_middleware, *args, **kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Of a repeated header the first one counts, as in Starlette's `Headers`.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        line = RequestLine(scope, headers.get(HEADER))
        try:
            answer = await self._endpoint.respond(scope, headers, receive)
            if answer is None:
                return
            is_large = self._min_bytes is not None and len(answer.body) >= self._min_bytes
            if is_large or "origin" in headers:
                answer.headers.append(self._headers[0])
                scope[_ANSWER] = answer
                await self._through_middleware(scope, receive, line.counting(send))
            else:
                line.status, line.sent = answer.status, len(answer.body)
                answer.headers.extend((*self._headers, (b"x-request-id", line.request_id.encode())))
                await answer.send(send)
        finally:
            line.write()


async def _send_answer(scope: Scope, _receive: Receive, send: Send) -> None:
    answer: HttpAnswer = scope[_ANSWER]
    await answer.send(send)
