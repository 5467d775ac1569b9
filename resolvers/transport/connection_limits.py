"""Limits of a connection: uvicorn's protocols with limits on heads, on waiting, and on the number of connections.

By itself uvicorn reads a head of any length, waits for its end without limit, keeps any number of connections, and
holds for an idle socket twice the memory that it needs. The server's tick calls `check` of every connection, about once
a second.
"""

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

from datasources.concurrency.signals import Signal
from domain.limits import HANDSHAKE_LINE_BYTES_MAX, PIPELINED_REQUESTS_MAX, REQUEST_HEAD_BYTES_MAX, REQUEST_HEADERS_MAX

SPARE = 64  # connections over the limit: they serve probes, and tell other clients that the process is full
PING_SECONDS = PONG_SECONDS = 20.0  # between two pings, and for the answer
HANDSHAKE = ("extensions", "headers", "query_string", "raw_path", "server", "state", "subprotocols")  # of the scope
PROBES = (b"/livez", b"/readyz")
WRITE_NOW = "photogram.write_now"  # an extension of a socket's scope: a function that writes a text, or returns false


class ServerConfig(uvicorn.Config):
    """uvicorn's settings, with these protocols and their limits: of connections, with sockets, and of a head's time."""

    def __init__(self, app: Any, *, max_connections: int, head_seconds: float, **settings: Any) -> None:
        settings |= {
            "ws_ping_interval": None,
            "ws_ping_timeout": None,
        }  # `check` pings, without timers
        super().__init__(app, http=HttpConnection, ws=SocketConnection, **settings)
        self.max_connections = max_connections
        self.head_seconds = head_seconds


class HeadTooLarge(Exception):
    """The head is too large. It stops the parser."""


class HttpConnection(HttpToolsProtocol):
    """A connection that sends requests."""

    config: ServerConfig
    _is_surplus = False
    _is_in_message = _is_in_head = False
    _since: float | None = None  # when the client began to send what it has not ended
    _refusal = 400
    _size = _count = 0  # of the head
    _steps = _stuck = 0  # the parser's calls; bytes since its last one

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        over = len(self.connections) - self.config.max_connections
        self._is_surplus = over > 0
        if over > SPARE:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._since is None and not self._is_in_message:
            self._since = self.loop.time()
        steps = self._steps
        super().data_received(data)
        self._stuck = self._stuck + len(data) if self._steps == steps else 0
        if self._stuck > REQUEST_HEAD_BYTES_MAX:
            self._refuse(431)

    def check(self, now: float) -> None:
        """Refuses a client that does not end in time what it began to send."""
        if self._since is not None and not self._is_answering and now - self._since > self.config.head_seconds:
            self._refuse(408)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """uvicorn's answer to a malformed head, and ours to a large one."""
        self._refuse(self._refusal)

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # It refers to this connection, which is no longer needed.
        self.parser = None  # type: ignore[assignment]

    def _should_upgrade_to_ws(self) -> bool:
        return not self._is_surplus and super()._should_upgrade_to_ws()

    def _refuse(self, status: int) -> None:
        """Closes the connection; sends the status before, unless an answer is being sent."""
        if self.transport.is_closing():
            return
        if self._is_in_head and not self._is_answering:
            headers = [*self.server_state.default_headers, (b"connection", b"close"), (b"content-length", b"0")]
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(STATUS_LINE[status] + lines + b"\r\n")
        self.transport.close()

    # Called by the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._steps += 1
        self._size = self._count = 0
        self._is_in_message = self._is_in_head = True
        self._since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count += 1
        self._measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._since = None
        self._steps += 1
        if len(self.pipeline) >= PIPELINED_REQUESTS_MAX:
            raise HeadTooLarge
        if self._is_surplus and self.url not in PROBES:
            self.app = service_unavailable
        super().on_headers_complete()
        is_handshake = self.parser.should_upgrade() and self._should_upgrade()
        if (
            is_handshake
            and max(len(self.url), *(len(name) + len(value) for name, value in self.headers)) > HANDSHAKE_LINE_BYTES_MAX
        ):
            self._refusal = 431
            raise HeadTooLarge
        self._is_in_head = False

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        self._is_in_message = False
        self._since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_in_message:
            self._since = self.loop.time()

    def _measure(self, size: int) -> None:
        """Counts the size of the head, or of a trailer."""
        self._steps += 1
        self._size += size
        if self._size > REQUEST_HEAD_BYTES_MAX or self._count > REQUEST_HEADERS_MAX:
            self._refusal = 431
            raise HeadTooLarge


class _Inbox:
    """An unbounded queue for one reader, with what uvicorn uses; empty, a tenth of the size of `asyncio.Queue`."""

    __slots__ = ("_come", "_events")

    def __init__(self) -> None:
        self._events: deque[ASGIReceiveEvent] | None = None
        self._come = Signal()

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        if self._events is None:
            self._events = deque()
        self._events.append(event)
        self._come.set()

    async def get(self) -> ASGIReceiveEvent:
        while not self._events:
            self._events = None
            self._come.clear()
            await self._come.wait()
        return self._events.popleft()

    def empty(self) -> bool:
        return not self._events


class SocketConnection(WebSocketsSansIOProtocol):
    """A connection that has become a socket. An open one keeps nothing of its handshake."""

    # uvicorn's attributes too: in a dictionary they would take a kilobyte more.
    # fmt: off
    __slots__ = (
        "app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer",
        "config", "conn", "connections", "curr_msg_data_type", "default_headers", "disconnected", "frames",
        "handshake_complete", "handshake_initiated", "initial_response", "last_ping_rtt", "logger", "loop",
        "pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue",
        "read_paused", "request", "response", "root_path", "scheme", "scope", "server", "tasks", "transport",
        "writable",
    )
    # fmt: on
    if TYPE_CHECKING:
        config: ServerConfig

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.ping_sent_at = self.loop.time()
        self.queue = cast("asyncio.Queue[ASGIReceiveEvent]", _Inbox())
        self.writable = cast("asyncio.Event", Signal())
        self.writable.set()

    def check(self, now: float) -> None:
        """Closes a socket that was not opened in time, or whose client does not answer a ping; pings the others."""
        seconds = now - self.ping_sent_at
        if not self.handshake_complete:
            if seconds > self.config.head_seconds:
                self.transport.close()
        elif self.pending_ping_payload is None:
            if seconds > PING_SECONDS:
                self.send_keepalive_ping()
        elif seconds > PONG_SECONDS:
            self.keepalive_timeout()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was refused
            extensions = cast("dict[str, object]", self.scope["extensions"])
            extensions[WRITE_NOW] = self.write_now

    def write_now(self, text: bytes) -> bool:
        """Sends a text if the client takes it without a wait; whether it was sent."""
        if not self.writable.is_set() or self.close_sent or self.transport.is_closing():
            return False
        try:
            self.conn.send_text(text)
        except InvalidState:
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def schedule_ping(self) -> None:
        """uvicorn would start a timer."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # we refused it; without this uvicorn would log an error

    def start_keepalive(self) -> None:
        """Called once, when the socket is open. The first ping comes earlier, so that not all come at once."""
        self.ping_sent_at = self.loop.time() - random.uniform(0, PING_SECONDS)  # noqa: S311  not a secret
        self.request.headers.clear()  # websockets' parser keeps the request as long as the socket
        del self.response
        scope = cast("dict[str, object]", self.scope)
        kept = {name: value for name, value in scope.items() if name not in HANDSHAKE}
        scope.clear()  # else it would keep the room of what it had
        scope.update(kept)
