"""Serves the API in this process."""

import asyncio
import socket
from contextlib import closing

import structlog

from config import Settings
from datasources.rate_limits.spam_signals import UnknownSpamScreenError, imported_screen
from datasources.sources import check_prepared
from datasources.telemetry.logs import configure_logging, name_process
from deploy.cli.exit_codes import UNREACHED, WRONG_USAGE
from deploy.cli.file_descriptors import make_room
from deploy.cli.interpreter_memory import calm_collector
from deploy.cli.privileges import refuse_root
from deploy.cli.tracing_packages import expect_tracing_packages
from deploy.local.environment import with_metrics_port
from deploy.local.errors import StartError
from deploy.local.ports import listen
from resolvers.transport.server import build_server
from resolvers.transport.shared_listener import Share

log = structlog.stdlib.get_logger(__name__)


def serve_api(settings: Settings, listener: socket.socket | None = None, share: Share | None = None) -> None:
    """Serves on `listener`, else on the settings' host and port; drains and returns on SIGTERM or SIGINT.

    With a `share` of the listener it also ends when only another process can go on, for its parent starts another.
    Raises StartError, also for that, and in production UnusableDatabaseError on a database that was not prepared.
    """
    from app import create_app  # noqa: PLC0415  nothing else in deploy needs the whole application

    if share is not None:
        name_process(share.number + 1)
        settings = with_metrics_port(settings, share.number)
    configure_logging(settings.log_format, settings.log_level)
    refuse_root(settings)
    expect_tracing_packages(settings)
    _expect_spam_screen(settings)
    if settings.environment == "production" and not settings.trusted_proxies and (share is None or share.number == 0):
        log.warning("proxy.none_trusted", setting="PHOTOGRAM_TRUSTED_PROXIES")  # https belongs to a proxy
    asyncio.run(check_prepared(settings))  # before uvicorn, which would print a traceback
    with closing(listener or listen(settings.host, settings.port)) as sock:
        settings = settings.model_copy(update={"max_connections": make_room(settings.max_connections)})
        app = create_app(settings)
        server = build_server(app, settings, share=share)
        calm_collector()
        try:
            server.run(sockets=[sock])
        except SystemExit as error:  # uvicorn's answer to a start-up that failed
            raise StartError("the API could not start; the log above says why", exit_code=UNREACHED) from error
    if share is not None and app.state.is_stuck():
        raise StartError("this process could not use MongoDB any more, though MongoDB answers")


def _expect_spam_screen(settings: Settings) -> None:
    """Raises StartError if the settings name a function that is not there."""
    try:
        if settings.spam_screen is not None:
            imported_screen(settings.spam_screen)
    except UnknownSpamScreenError as error:
        raise StartError(str(error), exit_code=WRONG_USAGE) from error
