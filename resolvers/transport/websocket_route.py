"""The WebSocket endpoint: accepts sockets of apps and allowed pages up to a limit, over graphql-transport-ws."""

from collections.abc import Iterable

import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from domain.limits import SOCKET_INIT_SECONDS_MAX, SOCKET_SEND_SECONDS_MAX
from resolvers.transport.client_address import address_of
from resolvers.transport.connection_limits import WRITE_NOW
from resolvers.transport.drain import Drain
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.origins import Origins
from resolvers.transport.request_log import request_id_of
from resolvers.transport.websocket_protocol import Socket

log = structlog.stdlib.get_logger(__name__)

SUBPROTOCOL = "graphql-transport-ws"
REFUSED = [(b"cache-control", b"no-store"), (b"retry-after", b"5")]


class GraphQLSocket:
    """The endpoint as an ASGI application."""

    def __init__(
        self,
        executor: OperationExecutor,
        drain: Drain,
        *,
        origins: Iterable[str] = (),
        max_sockets: int = 8_000,
        init_timeout: float = SOCKET_INIT_SECONDS_MAX,
        send_timeout: float = SOCKET_SEND_SECONDS_MAX,
    ) -> None:
        self._executor = executor
        self._drain = drain
        self._origins = Origins(origins)
        self.max_sockets = self._free = max_sockets
        self._init_timeout = init_timeout
        self._send_timeout = send_timeout

    @property
    def open_sockets(self) -> int:
        """How many sockets are open."""
        return self.max_sockets - self._free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        status = 403 if self._origins.is_foreign(Headers(scope=scope)) else 503 if self._free <= 0 else None
        if status is not None:
            log.info("socket refused", status=status)
            await send({"type": "websocket.http.response.start", "status": status, "headers": REFUSED})
            await send({"type": "websocket.http.response.body", "body": b""})
            return
        offered = SUBPROTOCOL in scope["subprotocols"]
        write_now = scope.get("extensions", {}).get(WRITE_NOW)  # the open socket does not keep it
        self._free -= 1
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
            if not offered:
                await send({"type": "websocket.close", "code": 4406, "reason": "Subprotocol not acceptable"})
                return
            socket = Socket(
                self._executor, receive, send, request_id_of(scope), address_of(scope), self._send_timeout, write_now
            )
            self._drain.add(socket.retire)
            try:
                await socket.serve(self._init_timeout)
            finally:
                self._drain.remove(socket.retire)
        finally:
            self._free += 1
