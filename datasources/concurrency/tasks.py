"""Running tasks side by side, with a limit, keeping some running, and ending them reliably."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

CANCEL_TRIES = 6
RESTART_SECONDS = 1.0

Input = TypeVar("Input")
Output = TypeVar("Output")


async def run_all(limit: int, work: Callable[[Input], Awaitable[Output]], items: Iterable[Input]) -> list[Output]:
    """Does the work for every item, up to `limit` at a time; returns the results in the order of the items.

    The first error cancels the rest and is raised as it is.
    """
    slots = asyncio.Semaphore(limit)

    async def run(item: Input) -> Output:
        async with slots:
            return await work(item)

    tasks = [asyncio.create_task(run(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel_tasks(tasks)


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


async def keep_running(name: str, loop: Callable[[], Awaitable[object]]) -> None:
    """Runs a loop that never ends, until cancelled. If it ends all the same, logs why and begins it again.

    Nobody waits for the task of such a loop, so nobody else would notice.
    """
    task = asyncio.current_task()
    while True:
        error: BaseException | None = None
        try:
            await loop()
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001  whatever it was is logged
            error = raised
        if task is not None and task.cancelling():
            raise error or asyncio.CancelledError
        log.error("loop.broken", loop=name, exc_info=error)
        await asyncio.sleep(RESTART_SECONDS)
