"""Serves the API in several processes that share one listening socket, for machines with several cores."""

import asyncio
import signal
import time
from contextlib import closing

import structlog

from config import Settings
from datasources.sources import check_prepared
from datasources.telemetry.logs import configure_logging
from deploy.cli.privileges import refuse_root
from deploy.cli.tracing_packages import expect_tracing_packages
from deploy.local import stop_signals
from deploy.local.ports import listen
from deploy.local.process import stop_all
from deploy.local.services import WATCH_SECONDS, ApiProcesses
from deploy.local.stop_signals import StopRequestedError

log = structlog.get_logger(__name__)

DRAIN_MARGIN = 1.0
STOP_MARGIN = DRAIN_MARGIN + 2.0


def serve_processes(settings: Settings, number: int) -> None:
    """Runs `number` API processes on the settings' host and port, and restarts those that die or hang.

    SIGTERM and SIGINT are passed on: all drain side by side. Returns when all have ended. Raises StartError if the port
    is taken, and in production UnusableDatabaseError on a database that was not prepared.
    """
    configure_logging(settings.log_format, settings.log_level)
    refuse_root(settings)
    expect_tracing_packages(settings)
    asyncio.run(check_prepared(settings))
    stop_signals.stop_on_signals(within=settings.drain_timeout + STOP_MARGIN)
    stopped_by = signal.SIGINT
    with closing(listen(settings.host, settings.port)) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        api = ApiProcesses.create(number, settings, listener.fileno())
        try:
            api.start()
            log.info("serving", host=settings.host, port=settings.port, processes=number)
            while True:
                for line in api.restart_dead():
                    log.error("api process", about=line)
                time.sleep(WATCH_SECONDS)
        except StopRequestedError as request:
            stopped_by = request.number
        finally:
            listener.close()  # first: when the processes have closed theirs, nobody must wait in its queue
            stop_all(api.running, settings.drain_timeout + DRAIN_MARGIN, stopped_by)
