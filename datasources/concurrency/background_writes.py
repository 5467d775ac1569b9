"""Small writes that nobody waits for: done one after the other, within a time, and dropped when there are too many."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

WAITING_MOST = 1_000
SECONDS = 0.5  # for one write; so a slow server makes the queue full, and what comes then is dropped

Write = Callable[[], Awaitable[object]]


class Background:
    """A bounded queue of writes; `run` must be running for them to be done. What waits when it is cancelled is lost."""

    def __init__(self, waiting_most: int = WAITING_MOST) -> None:
        self._writes = asyncio.Queue[Write](waiting_most)
        self._is_full = False

    def offer(self, write: Write) -> bool:
        """Has a write done some time, or dropped: False if it is already. Never waits and never raises."""
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
        """Does what is offered until cancelled; what fails or takes too long is left, and the first of a row logged."""
        is_failing = False
        while True:
            write = await self._writes.get()
            try:
                async with asyncio.timeout(SECONDS):
                    await write()
            except Exception as error:  # noqa: BLE001  nobody waits for it, and the next one may do better
                if not is_failing:
                    log.warning("background.failed", error=type(error).__name__)
                is_failing = True
            else:
                is_failing = False
