"""The runner: the workers of one process, from their start to their drain."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from functools import partial
from types import FrameType

import structlog

from config import Settings
from datasources.concurrency.process_exit import exit_within
from datasources.jobs.opening import open_consumer
from datasources.mongo.watchdog import Watchdog
from datasources.sources import Sources, open_sources
from datasources.telemetry.logs import configure_logging
from datasources.telemetry.metrics import readings
from datasources.telemetry.metrics_server import serve_metrics
from datasources.telemetry.tracing import open_tracing
from domain.jobs import WORKERS
from workers.exploring.explorer import EXPLORER, Explorer
from workers.handlers.screen_comments import screen_of
from workers.handlers.screen_content import check_screening
from workers.monitoring.observer import OBSERVER, Observer
from workers.rendering.pool import BELOW_ALL, BELOW_OTHER_IMAGES, RenderPool
from workers.runtime.handler import Tools
from workers.runtime.job_metrics import read_backlog
from workers.runtime.outbox_relay import keep_relaying
from workers.runtime.upload_watch import watch_uploads
from workers.runtime.worker import Worker

log = structlog.get_logger(__name__)

OUTBOX_RELAY = "relay"
SLOW_SECONDS = 0.75  # an image expected to take longer is rendered in the slow lane, by a child of its own


class UnknownWorkerError(ValueError):
    """There is no worker of this name."""


class StuckError(RuntimeError):
    """This process cannot use MongoDB any more, though MongoDB answers."""


class NoAvifError(RuntimeError):
    """AVIF is asked for, and Pillow has no encoder."""


async def run_workers(settings: Settings, names: Sequence[str]) -> None:
    """Runs these workers until SIGTERM or SIGINT; or all, the relay, the explorer and, with metrics, the observer.

    Then it reads no more jobs, waits for those in hand and gives the rest back; after `drain_timeout` the process ends
    in any case. Raises UnknownWorkerError, UnknownScreenError, UnknownMatchingError, NoAvifError, and StuckError when
    it has stopped because only a new process can go on.
    """
    known = (*WORKERS, OUTBOX_RELAY, EXPLORER, OBSERVER)
    if unknown := [name for name in names if name not in known]:
        raise UnknownWorkerError(f"no such worker: {', '.join(unknown)}; there are {', '.join(known)}")
    _check_avif(settings)
    configure_logging(settings.log_format, settings.log_level)
    screen_of(settings)  # a wrong name stops the start, not the first comment
    check_screening(settings)
    stopping = _stopped_by_signals(settings.drain_timeout)
    async with (
        open_tracing(settings, "worker"),
        open_sources(settings) as sources,
        serve_metrics(settings.metrics_host, settings.metrics_port),
        asyncio.TaskGroup() as group,
    ):
        watching = group.create_task(_stop_if_stuck(sources.watchdog, stopping, settings.drain_timeout))
        for name in names or (known if settings.metrics_port else known[:-1]):
            log.info("worker.start", worker=name)
            group.create_task(_serve(name, sources, stopping), name=name)
            if name == "media" and settings.upload_events:
                group.create_task(watch_uploads(sources, stopping), name="upload events")
        await stopping.wait()
        watching.cancel()
    log.info("worker.stopped", workers=list(names or known))
    if sources.watchdog.stuck.is_set():
        raise StuckError("this process could not use MongoDB any more, though MongoDB answers; start another")


def _stopped_by_signals(within: float) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set. From then on the process lives `within` seconds, even if the loop hangs."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        exit_within(within)
        loop.call_soon_threadsafe(stopping.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


async def _stop_if_stuck(watchdog: Watchdog, stopping: asyncio.Event, within: float) -> None:
    await watchdog.stuck.wait()
    exit_within(within)
    stopping.set()


def _check_avif(settings: Settings) -> None:
    if not settings.avif:
        return
    from PIL import features  # noqa: PLC0415  only the children need Pillow otherwise

    if not features.check("avif"):
        raise NoAvifError("PHOTOGRAM_AVIF is set, but this build of Pillow cannot write AVIF")


@contextlib.asynccontextmanager
async def tools_of(sources: Sources, name: str) -> AsyncIterator[Tools]:
    """What a worker's handlers work with. Each worker that renders has children of its own."""
    settings = sources.settings
    limits = settings.render_timeout, settings.render_memory_mb
    async with contextlib.AsyncExitStack() as stack:
        pool = slow_pool = None
        match name:
            case "media":
                pool = RenderPool(settings.render_processes, *limits, max_seconds=SLOW_SECONDS)
                slow_pool = RenderPool(1, *limits, niceness=BELOW_OTHER_IMAGES, is_seldom_needed=True)
            case "formats":
                pool = RenderPool(1, *limits, niceness=BELOW_ALL)
        for each in (pool, slow_pool):
            if each is not None:
                await stack.enter_async_context(each)
        yield Tools(sources=sources, pool=pool, slow_pool=slow_pool)


async def _serve(name: str, sources: Sources, stopping: asyncio.Event) -> None:
    settings = sources.settings
    if name == OUTBOX_RELAY:
        await keep_relaying(sources, stopping, settings.relay_interval)
        return
    if name == EXPLORER:
        await Explorer(sources, settings.explore_interval).run(stopping)
        return
    if name == OBSERVER:
        intervals = {"interval": settings.observe_interval, "drift_interval": settings.drift_interval}
        await Observer(sources, **intervals).run(stopping)
        return
    consumer = f"{os.getpid()}-{secrets.token_hex(4)}"
    async with tools_of(sources, name) as tools, open_consumer(settings, name, consumer) as queue:
        worker = Worker(tools, queue)
        with readings(partial(read_backlog, name, worker.backlog)):
            await worker.run(stopping)
