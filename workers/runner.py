"""The runner: the workers of one process, from their start to their drain."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence

import structlog

from config import Settings
from datasources.logs import configure_logging
from datasources.sources import Sources, open_queue, open_sources
from datasources.transport import WORKER_OF
from workers.rendering.pool import BELOW_ALL, RenderPool
from workers.screening import screen_of
from workers.sweeper import keep_sweeping
from workers.work import Tools
from workers.worker import Worker

log = structlog.get_logger(__name__)

WORKERS = tuple(dict.fromkeys(WORKER_OF.values()))
SWEEPER = "sweeper"


class UnknownWorkerError(ValueError):
    """There is no worker of this name."""


class NoAvifError(RuntimeError):
    """AVIF is asked for, and Pillow has no encoder."""


async def run_workers(settings: Settings, names: Sequence[str]) -> None:
    """Runs these workers (all of them and the sweeper, if none is named) in this process until SIGTERM or SIGINT.

    Then it reads no more, waits `drain_timeout` for what is in hand and gives the rest back. Raises
    UnknownWorkerError, UnknownScreenError, NoAvifError.
    """
    known = (*WORKERS, SWEEPER)
    if unknown := [name for name in names if name not in known]:
        raise UnknownWorkerError(f"no such worker: {', '.join(unknown)}; there are {', '.join(known)}")
    _check_avif(settings)
    configure_logging(settings.log_format, settings.log_level)
    screen_of(settings)  # a wrong name stops the start, not the first comment
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with open_sources(settings) as sources, asyncio.TaskGroup() as group:
        for name in names or known:
            log.info("worker.start", worker=name)
            group.create_task(_serve(name, sources, stopping), name=name)
    log.info("worker.stopped", workers=list(names or known))


def _check_avif(settings: Settings) -> None:
    if not settings.avif:
        return
    from PIL import features  # noqa: PLC0415  only the children need Pillow otherwise

    if not features.check("avif"):
        raise NoAvifError("PHOTOGRAM_AVIF is set, but this build of Pillow cannot write AVIF")


@contextlib.asynccontextmanager
async def _tools(sources: Sources, name: str) -> AsyncIterator[Tools]:
    """What this worker works with: those that render have children of their own, so that none waits for another's."""
    settings = sources.settings
    limits = settings.render_timeout, settings.render_memory_mb
    match name:
        case "media":
            pool = RenderPool(settings.render_processes, *limits)
        case "refining":
            pool = RenderPool(1, *limits, niceness=BELOW_ALL)
        case _:
            yield Tools(sources=sources)
            return
    async with pool:
        yield Tools(sources=sources, pool=pool)


async def _serve(name: str, sources: Sources, stopping: asyncio.Event) -> None:
    settings = sources.settings
    if name == SWEEPER:
        await keep_sweeping(sources, stopping, settings.sweep_interval)
        return
    consumer = f"{os.getpid()}-{secrets.token_hex(4)}"
    async with _tools(sources, name) as tools, open_queue(settings, name, consumer) as queue:
        await Worker(tools, queue).run(stopping)
