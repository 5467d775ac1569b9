"""Group commit: calls that come while one is under way go together in the next.

Nothing waits for company: a lone call goes at once, and the busier a process is, the larger its groups grow (the idea
is that of databases' log writers).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathering(Generic[Item, Result]):
    """Does the work of many simultaneous callers in few calls.

    `work` gets up to `most` items, in the order they came, and returns for each a result or the exception to raise
    to its caller; what it raises goes to all of them. It begins after every one of the items was given, so a read
    sees what its caller wrote before.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def of(self, item: Item) -> Result:
        """The result for one item. A caller that is cancelled leaves the work to the others."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            # A context of its own: the work is no caller's, and neither are its time limits and log fields.
            self._task = asyncio.create_task(self._run(), name="gathering", context=Context())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            futures = [future for _, future in some]
            try:
                results = await self._work([item for item, _ in some])
            except Exception as error:  # noqa: BLE001  it is the callers' business
                results = [error] * len(some)
            except BaseException:
                for future in (*futures, *(waiting for _, waiting in self._waiting)):
                    future.cancel()
                raise
            for future, result in zip(futures, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)
