"""The runner: reads rings, calls handlers, and decides what their ends mean."""

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from redis.exceptions import RedisError

from config import Settings
from datasources.logs import configure_logging
from datasources.sources import Sources, is_outage, open_queue, open_sources
from datasources.tasks import cancelled
from datasources.transport import WORKER_OF, Queue
from domain.events import Effect, Fact, Ring
from workers.registry import HANDLERS
from workers.rendering.pool import RenderingUnavailable, RenderPool
from workers.sweeper import keep_sweeping
from workers.work import Handler, NotYet, Tools

log = structlog.get_logger(__name__)

WORKERS = tuple(dict.fromkeys(WORKER_OF.values()))
SWEEPER = "sweeper"
READ_MOST = 256
READ_WAIT = 1.0
SLOTS = 16
OUTAGE_PAUSE = 1.0


class UnknownWorkerError(ValueError):
    """There is no worker of this name."""


async def run_workers(settings: Settings, names: Sequence[str]) -> None:
    """Runs these workers (all of them and the sweeper, if none is named) in this process until SIGTERM or SIGINT.

    Then it reads no more, waits `drain_timeout` for what is in hand and gives the rest back. Raises
    UnknownWorkerError.
    """
    known = (*WORKERS, SWEEPER)
    if unknown := [name for name in names if name not in known]:
        raise UnknownWorkerError(f"no such worker: {', '.join(unknown)}; there are {', '.join(known)}")
    configure_logging(settings.log_format, settings.log_level)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with (
        open_sources(settings) as sources,
        _tools(sources, names or known) as tools,
        asyncio.TaskGroup() as group,
    ):
        for name in names or known:
            log.info("worker.start", worker=name)
            group.create_task(_serve(name, tools, stopping), name=name)
    log.info("worker.stopped", workers=list(names or known))


@contextlib.asynccontextmanager
async def _tools(sources: Sources, names: Sequence[str]) -> AsyncIterator[Tools]:
    if "media" not in names:
        yield Tools(sources=sources)
        return
    settings = sources.settings
    pool = RenderPool(settings.render_processes, settings.render_timeout, settings.render_memory_mb)
    async with pool:
        yield Tools(sources=sources, pool=pool)


async def _serve(name: str, tools: Tools, stopping: asyncio.Event) -> None:
    settings = tools.sources.settings
    if name == SWEEPER:
        await keep_sweeping(tools.sources, stopping, settings.sweep_interval)
        return
    consumer = f"{os.getpid()}-{secrets.token_hex(4)}"
    async with open_queue(settings, name, consumer) as queue:
        await Worker(tools, queue).run(stopping)


class Worker:
    """One worker: a queue, and a bounded number of handlers at once.

    Rings for the same work are paid one after the other, and those that wait are paid by one call: the handler settles
    all that is owed under its key.
    """

    def __init__(
        self,
        tools: Tools,
        queue: Queue,
        *,
        handlers: Mapping[tuple[Effect, Fact], Handler] = HANDLERS,
        outage_pause: float = OUTAGE_PAUSE,
        read_wait: float = READ_WAIT,
    ) -> None:
        self._tools = tools
        self._queue = queue
        self._handlers = handlers
        self._outage_pause = outage_pause
        self._read_wait = read_wait
        # An upload in hand holds its bytes, so there are few; the other handlers hold next to nothing.
        self._rendering = asyncio.Semaphore(tools.sources.settings.render_processes * 2)
        self._slots = asyncio.Semaphore(SLOTS)
        self._waiting: dict[Ring, list[bytes]] = {}
        self._paying: dict[Ring, asyncio.Task[None]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until told to stop; then lets what is in hand finish within `drain_timeout` and gives back the rest."""
        while not stopping.is_set():
            if len(self._paying) >= READ_MOST:
                await asyncio.wait(self._paying.values(), return_when=asyncio.FIRST_COMPLETED)
            else:
                await self._take(await self._read())
        await self._stop()

    async def _take(self, messages: list[tuple[bytes, Ring | None]]) -> None:
        for message_id, ring in messages:
            if ring is None or (ring.effect, ring.fact) not in self._handlers:
                log.error("worker.nonsense", message=message_id.decode())
                await self._done([message_id])
                continue
            self._waiting.setdefault(ring, []).append(message_id)
            if ring not in self._paying:
                self._paying[ring] = asyncio.create_task(self._pay(ring), name=str(ring))

    async def _pay(self, ring: Ring) -> None:
        slots = self._rendering if ring.effect is Effect.RECEIVE else self._slots
        try:
            while ring in self._waiting:
                async with slots:
                    messages = self._waiting.pop(ring)
                    await self._attempt(ring)
                await self._done(messages)
        finally:
            del self._paying[ring]

    async def _attempt(self, ring: Ring) -> None:
        """Calls the handler and decides: paid, not yet, an outage, a failed attempt, or dead."""
        handler, started = self._handlers[ring.effect, ring.fact], time.monotonic()
        about = log.bind(effect=ring.effect.value, fact=ring.fact.value, key=ring.key)
        try:
            async with asyncio.timeout(handler.seconds) as limit:
                await handler.run(self._tools, ring.key)
            await self._tools.sources.dead_letters.succeeded(ring)
        except NotYet:
            about.debug("worker.not_yet")
        except Exception as error:  # noqa: BLE001  whatever a handler raises is this line's business
            if (is_outage(error) or isinstance(error, RenderingUnavailable)) and not limit.expired():
                about.warning("worker.outage", error=type(error).__name__)
                await asyncio.sleep(self._outage_pause)
            else:
                await self._failed(ring, error)
        else:
            about.info("worker.paid", seconds=round(time.monotonic() - started, 3))

    async def _failed(self, ring: Ring, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        try:
            letter = await self._tools.sources.dead_letters.failed(ring, reason, datetime.now(UTC))
        except Exception as unrecorded:
            log.exception("worker.failure_unrecorded", ring=str(ring), error=type(unrecorded).__name__)
        else:
            log.error("worker.failed", ring=str(ring), attempts=letter.attempts, dead=letter.dead, exc_info=error)

    async def _read(self) -> list[tuple[bytes, Ring | None]]:
        try:
            return await self._queue.read(READ_MOST, self._read_wait)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("worker.queue_unreachable", error=type(error).__name__)
            await asyncio.sleep(self._outage_pause)
            return []

    async def _done(self, messages: list[bytes]) -> None:
        try:
            await self._queue.done(messages)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("worker.queue_unreachable", error=type(error).__name__)

    async def _stop(self) -> None:
        if self._paying:
            await asyncio.wait(self._paying.values(), timeout=self._tools.sources.settings.drain_timeout)
        await cancelled(self._paying.values())
        with contextlib.suppress(RedisError, OSError):
            await self._queue.leave()
