"""Notices that this process cannot use MongoDB although MongoDB answers: then only a new process helps."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from config import Settings
from datasources.concurrency.process_exit import close_in_time
from datasources.mongo.client import Client, open_mongo

log = structlog.get_logger(__name__)

Ping = Callable[[], Awaitable[object]]

CHECK_SECONDS = 5.0
STUCK_SECONDS = 30.0


class Watchdog:
    """Compares the process's pool of connections with a fresh connection, while `run` is running.

    `stuck` is set when no ping got through the pool for `STUCK_SECONDS` while each time a fresh connection answered. It
    is cleared when a ping gets through. A ping may wait for twice `mongo_timeout`: the pool serves in turn, each
    operation for `mongo_timeout` at most, so a ping through a merely busy pool does not fail.
    """

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._answer_seconds = 2 * settings.mongo_timeout
        self.stuck = asyncio.Event()

    async def run(self) -> None:
        """Checks until cancelled."""
        since: float | None = None
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            began = time.monotonic()
            if await self._answers(lambda: self._client.admin.command("ping")):
                since = None
                self.stuck.clear()
            elif await self._answers(self._ping_fresh):
                since = began if since is None else since
                if time.monotonic() - since >= STUCK_SECONDS and not self.stuck.is_set():
                    log.error("process stuck", seconds=round(time.monotonic() - since))
                    self.stuck.set()
            else:
                since = None  # an outage: MongoDB itself does not answer

    async def _answers(self, ping: Ping) -> bool:
        pinging = asyncio.ensure_future(ping())
        try:
            await asyncio.wait({pinging}, timeout=self._answer_seconds)
            return pinging.done() and pinging.exception() is None
        finally:
            pinging.cancel()  # not awaited: a stuck task may not end

    async def _ping_fresh(self) -> None:
        client = open_mongo(self._settings)
        try:
            await client.admin.command("ping")
        finally:
            await close_in_time(client.close)
