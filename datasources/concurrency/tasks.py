"""Ending background tasks reliably."""

import asyncio
from collections.abc import Iterable
from typing import Any

CANCEL_TRIES = 6


async def cancel_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks, again if need be, until they have ended; gives up after a few seconds. What they raise is dropped.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, by which redis-py sends, may swallow a cancellation.
    """
    left = set(tasks)
    for _ in range(CANCEL_TRIES):
        if not left:
            return
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=0.5)
        for task in ended:
            if not task.cancelled():
                task.exception()
