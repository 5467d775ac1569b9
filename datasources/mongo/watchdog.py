"""Notices that this process cannot use MongoDB though MongoDB answers: then only a new process helps."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from config import Settings
from datasources.concurrency.process_exit import closed
from datasources.mongo.client import Client, open_mongo

log = structlog.get_logger(__name__)

Ping = Callable[[], Awaitable[object]]

LOOK_EVERY = 5.0
STUCK_SECONDS = 30.0


class Watchdog:
    """Compares the process's own pool of connections with a fresh one; `run` must be running for that.

    `stuck` is set once the pool has not let one ping through for `stuck_seconds`, while each time a fresh connection
    answered; it is cleared when the pool does. The pool serves those who wait in turn, and each for `mongo_timeout` at
    most, so a ping that waits twice as long fails only where everything does, and not in a process that is merely busy.
    """

    def __init__(
        self,
        settings: Settings,
        client: Client,
        *,
        look_every: float = LOOK_EVERY,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._settings = settings
        self._client = client
        self._answer_seconds = 2 * settings.mongo_timeout
        self._look_every = look_every
        self._stuck_seconds = stuck_seconds
        self.stuck = asyncio.Event()

    async def run(self) -> None:
        """Looks until cancelled."""
        since: float | None = None
        while True:
            await asyncio.sleep(self._look_every)
            began = time.monotonic()
            if await self._answers(self._ping_pooled):
                since = None
                self.stuck.clear()
            elif await self._answers(self._ping_fresh):
                since = began if since is None else since
                if time.monotonic() - since >= self._stuck_seconds and not self.stuck.is_set():
                    log.error("process stuck", seconds=round(time.monotonic() - since))
                    self.stuck.set()
            else:
                since = None  # an outage says nothing about this process

    async def _answers(self, ping: Ping) -> bool:
        asking = asyncio.ensure_future(ping())
        try:
            await asyncio.wait({asking}, timeout=self._answer_seconds)
            return asking.done() and asking.exception() is None
        finally:
            asking.cancel()  # whether it heeds that is not waited for

    async def _ping_pooled(self) -> None:
        await self._client.admin.command("ping")

    async def _ping_fresh(self) -> None:
        client = open_mongo(self._settings)
        try:
            await client.admin.command("ping")
        finally:
            await closed(client.close)
