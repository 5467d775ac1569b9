"""Serves the API in this process."""

import socket
from contextlib import closing

import uvicorn

from config import Settings
from deploy.local.errors import StartError
from deploy.local.ports import listen

LARGEST_MESSAGE = 64 * 1024
"""Bytes of one WebSocket message from a client: a GraphQL operation and its variables, not a picture."""


def serve_api(settings: Settings, listener: socket.socket | None = None) -> None:
    """Serves on `listener`, else on the settings' host and port, until SIGTERM or SIGINT. Raises StartError."""
    from app import create_app  # noqa: PLC0415

    with closing(listener or listen(settings.host, settings.port)) as sock:
        config = uvicorn.Config(
            create_app(settings),
            loop="uvloop",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=LARGEST_MESSAGE,
            ws_per_message_deflate=False,  # costs 40 to 90 KiB a socket
            timeout_graceful_shutdown=int(settings.drain_timeout),
            lifespan="on",
            log_config=None,
            server_header=False,
        )
        server = uvicorn.Server(config)
        try:
            server.run(sockets=[sock])
        except SystemExit as error:  # uvicorn's answer to a lifespan that failed
            raise StartError("the API could not start; the lines above say why", exit_code=3) from error
