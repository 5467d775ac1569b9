"""Gives every request an id, and logs one line about it, without literals, variables and tokens."""

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.stdlib.get_logger(__name__)

HEADER = "x-request-id"
SANE = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
QUIET = ("/livez", "/readyz")  # probes would drown everything else
_ID, _NOTES = "photogram.request_id", "photogram.notes"


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The request's id: that of the client or the load balancer if it has an allowed form."""
    request_id: str = scope.get(_ID) or uuid.uuid4().hex
    return request_id


def add_to_log_line(scope: Mapping[str, Any], **fields: object) -> None:
    """Adds fields to the line that will be logged about this request."""
    scope.get(_NOTES, {}).update(fields)


class RequestLog:
    """The outermost ASGI middleware. Sockets get their id here and log their own lines."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        scope[_ID] = given if SANE.fullmatch(given) else uuid.uuid4().hex
        scope[_NOTES] = {}
        if scope["type"] == "websocket":  # its task, and so the context, is its own
            structlog.contextvars.bind_contextvars(request_id=scope[_ID])
            await self._app(scope, receive, send)
            return
        with structlog.contextvars.bound_contextvars(request_id=scope[_ID]):
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status, sent = time.perf_counter(), 0, 0

        async def counting(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = scope[_ID]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            write = log.debug if scope["path"] in QUIET else log.info
            write(
                "request",
                method=scope["method"],
                path=scope["path"][:200],
                status=status,  # 0: the client left before there was an answer
                bytes=sent,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
                **{name: value for name, value in scope[_NOTES].items() if value},
            )
