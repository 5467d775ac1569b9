"""Running tasks side by side, with a limit, and ending them reliably."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

CANCEL_TRIES = 6

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
