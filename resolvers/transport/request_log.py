"""Gives every request an id, and logs one line about it, without literals, variables and tokens."""

import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datasources.telemetry.logs import EventLog
from resolvers.transport.operation_metrics import OPERATION_METRICS

log = EventLog(__name__)

HEADER = "x-request-id"
SANE = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
QUIET = ("/livez", "/readyz")  # probes would drown everything else
_LINE = "photogram.request_line"


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The request's id: that of the client or the load balancer if it has an allowed form."""
    line: RequestLine | None = scope.get(_LINE)
    return uuid.uuid4().hex if line is None else line.request_id


def add_to_log_line(scope: Mapping[str, Any], **fields: object) -> None:
    """Adds fields to the line that will be logged about this request."""
    line: RequestLine | None = scope.get(_LINE)
    if line is not None:
        line.notes.update(fields)


class RequestLine:
    """A request's id, which all its log lines have, and the one line about the request itself."""

    __slots__ = ("_method", "_path", "_started", "notes", "request_id", "sent", "status")

    def __init__(self, scope: Scope, given: str | None) -> None:
        """`given` is the id that the client or the load balancer has given the request, if any."""
        self.request_id = given if given and SANE.fullmatch(given) else uuid.uuid4().hex
        self.status = 0  # 0: the client left before there was an answer
        self.sent = 0
        self.notes: dict[str, Any] = {}
        # Not the scope itself: in a cycle with it, every request would be left to the garbage collector.
        self._method: str | None = scope.get("method")  # a socket has none
        self._path: str = scope["path"]
        self._started = time.perf_counter()
        scope[_LINE] = self
        # The server runs each request and each socket in a task, and so in a context, of its own.
        structlog.contextvars.bind_contextvars(request_id=self.request_id)

    def counting(self, send: Send) -> Send:
        """Sends the answer with the request's id, and notes its status and its size."""

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                MutableHeaders(scope=message)[HEADER] = self.request_id
            elif message["type"] == "http.response.body":
                self.sent += len(message.get("body", b""))
            await send(message)

        return count

    def write(self) -> None:
        """Logs the line, and counts a request for an operation."""
        seconds = time.perf_counter() - self._started
        if self.notes:
            OPERATION_METRICS.count_request(self.notes, self.status, seconds)
        fields = {
            "request_id": self.request_id,
            "method": self._method,
            "path": self._path[:200],
            "status": self.status,
            "bytes": self.sent,
            "duration_ms": round(seconds * 1000, 1),
        }
        fields.update({name: value for name, value in self.notes.items() if value})
        log.write(logging.DEBUG if self._path in QUIET else logging.INFO, "request", fields)


class RequestLog:
    """The outermost ASGI middleware. Sockets get their id here and log their own lines."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        line = RequestLine(scope, Headers(scope=scope).get(HEADER))
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, line.counting(send))
        finally:
            line.write()
