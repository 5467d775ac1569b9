"""Some work at once, and never more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


async def at_once(most: int, work: Callable[[Item], Awaitable[Made]], items: Iterable[Item]) -> list[Made]:
    """Does the work for every item, at most `most` at a time; returns the results in the order of the items.

    The first error cancels the rest; it is raised as it is.
    """
    slots = asyncio.Semaphore(most)

    async def one(item: Item) -> Made:
        async with slots:
            return await work(item)

    tasks = [asyncio.create_task(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
