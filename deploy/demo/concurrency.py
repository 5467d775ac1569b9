"""Runs work concurrently, with a limit."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

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
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
