"""Small writes that nobody waits for: done one after the other, each within a time limit, dropped if too many wait."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

MAX_WAITING = 1_000
SECONDS = 0.5  # for one write; a slow server fills the queue, and then writes are dropped

Write = Callable[[], Awaitable[object]]


class BackgroundWrites:
    """A bounded queue of writes, done by `run`. Writes that wait when `run` is cancelled are lost."""

    def __init__(self) -> None:
        self._writes = asyncio.Queue[Write](MAX_WAITING)
        self._is_full = False

    def offer(self, write: Write) -> bool:
        """Queues a write; False if it is dropped. Never waits and never raises."""
        try:
            self._writes.put_nowait(write)
        except asyncio.QueueFull:
            if not self._is_full:
                log.warning("background.full", waiting=self._writes.qsize())
            self._is_full = True
            return False
        self._is_full = False
        return True

    async def run(self) -> None:
        """Does the writes until cancelled; drops those that fail or take too long, and logs the first of a row."""
        is_failing = False
        while True:
            write = await self._writes.get()
            try:
                async with asyncio.timeout(SECONDS):
                    await write()
            except Exception as error:  # noqa: BLE001  nobody waits for it, and the next one may succeed
                if not is_failing:
                    log.warning("background.failed", error=type(error).__name__)
                is_failing = True
            else:
                is_failing = False
