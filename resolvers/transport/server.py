"""Runs the application under uvicorn as it must be run, and drains it when it is told to stop.

SIGTERM or SIGINT: readiness turns false at once; after `notice` seconds, in which load balancers look elsewhere, the
listening socket closes, sockets finish their work in hand and are closed with 1012, requests in flight finish.
All of it within `settings.drain_timeout`; what is left then is cancelled.
"""

import math
import signal
import socket
import time
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from config import Settings
from resolvers.transport.drain import Drain

FRAME_LIMIT = 64 * 1024
BACKLOG = 2048
STALLED_MS = 20_000  # how long a client may leave what it is sent unread before the kernel drops it
SOCKET_SHARE = 0.5  # of the drain's time is for the sockets' work in hand


class Server(uvicorn.Server):
    """A server that says that it is going before it goes."""

    def __init__(self, config: uvicorn.Config, drain: Drain, *, drain_timeout: float, notice: float = 0.0) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_timeout = drain_timeout
        self._notice = notice
        self._leave_at = math.inf

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Begins the drain; a second Ctrl-C does not wait."""
        if self._drain.begun and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True
        elif not self._drain.begun:
            self._drain.begin()
            self._leave_at = time.monotonic() + self._notice

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if not self.force_exit:
            await self._drain.close_sockets((self._drain_timeout - self._notice) * SOCKET_SHARE)
        await super().shutdown(sockets)


def build_server(app: Starlette, settings: Settings, *, notice: float = 0.0) -> Server:
    """A server for an application whose `state.drain` is its Drain. `notice` is part of the drain's time."""
    drain: Drain = app.state.drain
    rest = max(1, math.floor((settings.drain_timeout - notice) * (1 - SOCKET_SHARE)))
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=FRAME_LIMIT,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
        timeout_graceful_shutdown=rest,
    )
    return Server(config, drain, drain_timeout=settings.drain_timeout, notice=notice)


def listen(settings: Settings) -> socket.socket:
    """A listening socket at the settings' address; port 0 takes a free one. Raises OSError if the port is taken.

    Without the time limit, a client that stops reading would keep its connection, and memory for it, for ever.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    return listener


def serve(app: Starlette, settings: Settings, *, notice: float = 0.0) -> None:
    """Serves until SIGTERM or SIGINT, drains, and returns.

    Raises OSError if the port is taken, and SystemExit if the application does not start.
    """
    with listen(settings) as listener:
        build_server(app, settings, notice=notice).run([listener])
