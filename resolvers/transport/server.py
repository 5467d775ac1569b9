"""Runs the application under uvicorn as it must be run, and drains it when it is told to stop.

SIGTERM: readiness turns false at once. After `settings.drain_notice`, when load balancers have noticed, the listening
socket closes, sockets finish their running operations and are closed with 1012, requests in flight finish, and the
stores are closed. What takes too long is cancelled. The process ends after `settings.drain_timeout` at the latest.
SIGINT does the same without the notice.
"""

import asyncio
import math
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import State

from config import Settings
from datasources.concurrency.process_exit import exit_within
from domain.limits import REQUEST_HEAD_SECONDS_MAX, SOCKET_MESSAGE_BYTES_MAX, UNREAD_SECONDS_MAX
from resolvers.transport.client_address import with_mapped_ipv4
from resolvers.transport.connection_limits import HttpConnection, ServerConfig, SocketConnection
from resolvers.transport.drain import Drain
from resolvers.transport.shared_listener import Share, SharedListener

TICKS_A_SECOND = 10
SOCKET_SHARE = 0.5  # of the drain's time, for the sockets' running operations


class Server(uvicorn.Server):
    """A server that drains before it stops."""

    def __init__(self, config: uvicorn.Config, state: State, settings: Settings, share: Share | None = None) -> None:
        super().__init__(config)
        self._drain: Drain = state.drain
        self._is_stuck: Callable[[], bool] = state.is_stuck
        self._settings = settings
        self._share = share
        self._shared: list[SharedListener] = []
        self._leave_at = self._work_until = math.inf

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Connections inherit the limit. Without it a client that stops reading would keep its connection."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            for each in sockets or ():
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS_MAX * 1000)
        if self._share is None:
            await super().startup(sockets)
            return
        await super().startup([])
        self._shared = [SharedListener(each, self._share, self._make_protocol, self._count) for each in sockets or ()]
        self.servers += cast("list[asyncio.base_events.Server]", self._shared)

    def _make_protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    def _count(self) -> int:
        return len(self.server_state.connections)

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Begins the drain; a second Ctrl-C does not wait."""
        if self._drain.begun and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True
        elif not self._drain.begun:
            exit_within(self._settings.drain_timeout)
            self._drain.begin()
            now = time.monotonic()
            self._leave_at = now if sig == signal.SIGINT else now + self._settings.drain_notice
            self._work_until = now + self._settings.drain_work

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._leave_at:
            self.should_exit = True
        for shared in self._shared:
            shared.publish()
        if counter % TICKS_A_SECOND == 0:
            self._end_if_stuck()
            now = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                cast("HttpConnection | SocketConnection", connection).check(now)
        return await super().on_tick(counter)

    def _end_if_stuck(self) -> None:
        """Where other processes share the socket, no probe finds this one: it ends, and its parent starts another."""
        if self._share is not None and not self._drain.begun and self._is_stuck():
            self.handle_exit(signal.SIGINT, None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        left = min(self._work_until - time.monotonic(), self._settings.drain_work)
        self._work_until = time.monotonic() + left
        if not self.force_exit:
            await self._drain.close_sockets(max(0.0, left * SOCKET_SHARE))
        self.config.timeout_graceful_shutdown = max(1, math.floor(self._work_until - time.monotonic()))
        await super().shutdown(sockets)


def _security_headers(settings: Settings) -> list[tuple[str, str]]:
    """The headers of every answer, also of those that the server gives by itself, such as to malformed requests."""
    headers = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
        "cross-origin-resource-policy": "same-origin",  # other origins load it only by CORS
        "strict-transport-security": settings.transport_security,
    }
    return [(name, value) for name, value in headers.items() if value]


def build_server(
    app: Starlette,
    settings: Settings,
    *,
    head_seconds: float = REQUEST_HEAD_SECONDS_MAX,
    share: Share | None = None,
) -> Server:
    """A server for an application whose `state` has `drain` and `is_stuck`. It runs on listening sockets of the caller.

    With a `share`, other processes accept on the same sockets, and connections are divided evenly between them. Its
    `run` raises SystemExit if the application does not start.
    """
    config = ServerConfig(
        app,
        max_connections=settings.max_connections,
        head_seconds=head_seconds,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        ws_max_size=SOCKET_MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=with_mapped_ipv4(settings.trusted_proxies),
        headers=_security_headers(settings),
    )
    return Server(config, app.state, settings, share)
