"""What a run waits for: awaitables of resolvers, and batches of loaders."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from engine.paths import Link
from engine.positions import Position

if TYPE_CHECKING:
    from engine.execution import Execution
    from engine.loads import BatchLoad, Bucket


class Slot:
    """A place of the answer whose value is awaited."""

    __slots__ = ("awaitable", "complete", "container", "key", "parent", "position")

    def __init__(
        self,
        awaitable: Any,
        position: Position,
        parent: Link,
        key: Any,
        complete: Callable[[Any], Any] | None = None,
    ) -> None:
        self.awaitable = awaitable
        self.position = position
        self.parent = parent
        self.key = key
        self.complete = complete
        self.container: Any = None  # None: found by the path when the value is there

    def arrive(self, execution: "Execution", value: Any) -> None:
        execution.arrive(self, value)

    def is_dead(self, execution: "Execution") -> bool:
        """Whether the place is no longer in the answer."""
        return execution.container(self.parent) is None


class Loading:
    """A batch that is loaded, and the places that its values are for."""

    __slots__ = ("_bucket", "_load", "awaitable")

    def __init__(self, load: "BatchLoad", awaitable: Any, bucket: "Bucket") -> None:
        self._load = load
        self.awaitable = awaitable
        self._bucket = bucket

    def arrive(self, execution: "Execution", value: Any) -> None:
        self._load.arrive(execution, self._bucket, value)

    def is_dead(self, execution: "Execution") -> bool:
        """Whether none of the places is in the answer any more."""
        return not execution.alive(self._bucket)


class Waiting:
    """The awaitables of one run. Those that are coroutines run in tasks, but for one that is alone.

    It does not refer to its execution: in a cycle, the whole answer would be left to the garbage collector.
    """

    __slots__ = ("_arrived", "_new", "_nulled", "_running", "_stopped", "_wake")

    def __init__(self) -> None:
        self._new: list[Slot | Loading] = []
        self._running: dict[Slot | Loading, asyncio.Future[Any]] = {}
        self._arrived: list[Slot | Loading] = []
        self._stopped: list[asyncio.Future[Any]] = []
        self._nulled = 0  # how many of the execution's nulls are taken into account
        self._wake: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._new)

    def add(self, slot: Slot | Loading) -> None:
        self._new.append(slot)

    async def wait(self, execution: "Execution") -> None:
        """Waits until everything has arrived, and everything that it led to. Cancelled, it leaves no task behind."""
        try:
            while await self._wait_for_some(execution):
                pass
        except BaseException:
            self.discard()
            raise
        finally:
            if self._stopped:
                await asyncio.gather(*self._stopped, return_exceptions=True)

    def discard(self) -> None:
        """Stops everything."""
        for slot in self._new:
            _close(slot)
        self._new = []
        for slot in list(self._running):
            self._stop(slot)

    async def _wait_for_some(self, execution: "Execution") -> bool:
        """Loads what can be loaded, and waits until something has arrived; whether there was something to wait for."""
        execution.flush()
        self._stop_dead(execution)
        if len(self._new) == 1 and not self._running:
            await self._await_alone(execution, self._new.pop())
            return True
        for slot in self._new:
            self._start(slot)
        self._new = []
        if not self._running:
            return False
        if not self._arrived:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        arrived, self._arrived = self._arrived, []
        for slot in arrived:
            self._stop_dead(execution)
            future = self._running.pop(slot, None)
            if future is not None:
                slot.arrive(execution, _outcome(future))
        return True

    async def _await_alone(self, execution: "Execution", slot: Slot | Loading) -> None:
        """Without a task, since there is nothing to do meanwhile."""
        try:
            value = await slot.awaitable
        except Exception as error:  # noqa: BLE001  whatever it is, it is the position's error
            value = error
        slot.arrive(execution, value)

    def _start(self, slot: Slot | Loading) -> None:
        awaitable = slot.awaitable
        if isinstance(awaitable, asyncio.Future):
            future: asyncio.Future[Any] = awaitable
        else:
            coroutine = awaitable if type(awaitable) is CoroutineType else _wait_for(awaitable)
            future = asyncio.get_running_loop().create_task(coroutine)
        self._running[slot] = future
        future.add_done_callback(partial(self._done, slot))

    def _done(self, slot: Slot | Loading, _future: Any) -> None:
        self._arrived.append(slot)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _stop_dead(self, execution: "Execution") -> None:
        """Stops what is awaited for places that are no longer in the answer.

        Futures that resolvers returned may be awaited by others and are left to them, unless all data is null.
        """
        if self._nulled == execution.nulled:
            return
        self._nulled = execution.nulled
        if execution.data is None:
            self.discard()
            return
        dead = [slot for slot in self._new if slot.is_dead(execution)]
        self._new = [slot for slot in self._new if slot not in dead]
        for slot in dead:
            _close(slot)
        for slot in [slot for slot in self._running if slot.is_dead(execution)]:
            if slot.awaitable is self._running[slot] and isinstance(slot, Slot):
                self._running.pop(slot).add_done_callback(_look)
            else:
                self._stop(slot)

    def _stop(self, slot: Slot | Loading) -> None:
        future = self._running.pop(slot)
        future.add_done_callback(_look)
        if not future.done():
            future.cancel()
            self._stopped.append(future)


def close(values: Iterable[Any]) -> None:
    """Closes coroutines that nobody will await: these, and those in lists."""
    for value in values:
        if type(value) is CoroutineType:
            value.close()
        elif type(value) is list or type(value) is tuple:
            close(value)


def _close(slot: Slot | Loading) -> None:
    """Gives up what was never started."""
    if type(slot.awaitable) is CoroutineType:
        slot.awaitable.close()
    elif isinstance(slot, Loading) and isinstance(slot.awaitable, asyncio.Future):
        slot.awaitable.cancel()


def _look(future: "asyncio.Future[Any]") -> None:
    """Marks an exception as seen, of which nobody else needs to hear."""
    if not future.cancelled():
        future.exception()


def _outcome(future: "asyncio.Future[Any]") -> Any:
    error = future.exception()  # raises CancelledError if somebody cancelled it
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
