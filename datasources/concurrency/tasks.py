"""Running tasks side by side, with a limit, keeping some running, and ending them reliably."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

CANCEL_TRIES = 6
CANCEL_SECONDS = 0.5  # between two tries
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

    Once is not enough: before Python 3.12 `asyncio.wait_for`, by which redis-py sends, may swallow a cancellation. If
    the caller is cancelled meanwhile, that is raised when the tasks have ended: none may outlive what it uses.
    """
    all_tasks, cancelled = set(tasks), None
    for _ in range(CANCEL_TRIES):
        left = [task for task in all_tasks if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        cancelled = await _wait(left) or cancelled
    for task in all_tasks:
        if task.done() and not task.cancelled():
            task.exception()
    if cancelled is not None:
        raise cancelled


async def _wait(tasks: Iterable[asyncio.Task[Any]]) -> asyncio.CancelledError | None:
    """Waits for tasks until the next try. A cancellation of the caller, which ends no wait, is returned."""
    cancelled, now = None, asyncio.get_running_loop().time
    left, ends = list(tasks), now() + CANCEL_SECONDS
    while left:
        try:
            await asyncio.wait(left, timeout=max(0.0, ends - now()))
        except asyncio.CancelledError as error:
            cancelled = error
        left = [task for task in left if not task.done()] if now() < ends else []
    return cancelled


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
