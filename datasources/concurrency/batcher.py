"""Group commit: calls that arrive while one is under way go together in the next, as in the log writers of databases.

A lone call goes at once. The busier a process is, the larger its batches grow. A caller's time limit includes its wait
for the next call, so nobody waits for a server's outage twice.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchTimeout(TimeoutError):
    """The result of an item did not come in time: an outage, like every TimeoutError."""


@dataclass(frozen=True, slots=True)
class _Call(Generic[Item, Result]):
    """One caller's item, the future of its result, and when the caller stops waiting (in the loop's time)."""

    item: Item
    future: asyncio.Future[Result]
    until: float


class Batcher(Generic[Item, Result]):
    """Does the work of many simultaneous callers in few calls.

    `work` gets up to `max_batch` items, in the order they came, and returns for each a result or the exception to raise
    to its caller. What it raises goes to all of these callers, and an outage also to those who wait for the next call.
    A call of `work` begins after each of its items was submitted, so a read sees what its caller wrote before.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]], max_batch: int
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._waiting: list[_Call[Item, Result]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item, within: float | None = None) -> Result:
        """The result for one item. Raises BatchTimeout after `within` seconds, and what the work raises.

        The item of a caller that is cancelled or times out is done with the others' all the same.
        """
        loop = asyncio.get_running_loop()
        until = math.inf if within is None else loop.time() + within
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append(_Call(item, future, until))
        if self._task is None or self._task.done():
            # A context of its own: the work must not inherit one caller's time limits and log fields.
            self._task = asyncio.create_task(self._run(), name="batcher", context=Context())
        if within is None:
            return await future
        try:
            async with asyncio.timeout_at(until):
                return await future
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                return future.result()  # it came at the last moment, or the work itself raised a TimeoutError
            raise BatchTimeout(f"no result after {within} s") from error

    def _is_outage(self, error: Exception) -> bool:
        return isinstance(error, OSError)  # TimeoutError is an OSError

    def _deadline(self, seconds: float) -> AbstractContextManager[object]:  # noqa: ARG002  for subclasses
        """Limits the work to the time until its last caller stops waiting; `seconds` may be infinite."""
        return nullcontext()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            try:
                with self._deadline(max(call.until for call in batch) - loop.time()):
                    results = await self._work([call.item for call in batch])
            except Exception as error:  # noqa: BLE001  the callers handle it
                if self._is_outage(error):
                    batch, self._waiting = [*batch, *self._waiting], []
                results = [error] * len(batch)
            except BaseException:
                for call in (*batch, *self._waiting):
                    call.future.cancel()
                raise
            for call, result in zip(batch, results, strict=True):
                if call.future.done():
                    continue
                if isinstance(result, Exception):
                    call.future.set_exception(result)
                else:
                    call.future.set_result(result)
