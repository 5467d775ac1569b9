"""One execution of a random case: when its awaitables end, and which resolvers were called."""

import asyncio
import enum
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from graphql import GraphQLResolveInfo


class Mode(enum.Enum):
    """How much of a case is asynchronous."""

    SYNC = "nothing is awaitable"
    PACED = "awaitables end one at a time, each after everything that the one before caused"
    RACING = "awaitables end in any order"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a resolver, and what it was given."""

    path: tuple[str | int, ...]
    field: str
    given: str


@dataclass(slots=True)
class Stage:
    """The context of one execution."""

    mode: Mode
    loads: Mapping[int, Any] = field(default_factory=dict)
    """What loaders find, by key."""
    calls: list[Call] = field(default_factory=list)
    coroutines: list[Coroutine[Any, Any, object]] = field(default_factory=list)
    """Those that were given out."""
    _loaders: dict[str, Any] = field(default_factory=dict)
    _lists: Counter[int] = field(default_factory=Counter)
    _waiting: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)

    def loader(self, name: str, kind: Callable[..., Any]) -> Any:
        if name not in self._loaders:
            self._loaders[name] = kind(name, self.loads, self)
        return self._loaders[name]

    @property
    def is_async(self) -> bool:
        return self.mode is not Mode.SYNC

    async def turn(self, rank: float) -> None:
        """Waits for the turn of an awaitable. The lowest rank of those that wait comes first."""
        if self.mode is Mode.PACED:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((rank, turn))
            await turn
        else:
            for _ in range(int(rank * 1000) % 5):
                await asyncio.sleep(0)

    def number_of_list(self, spec: Any) -> int:
        """How many lists of this description were made, this one among them.

        Who asks first for an item of equal lists depends on the steps an executor takes; who makes them does not.
        """
        self._lists[id(spec)] += 1
        return self._lists[id(spec)]

    def given(self, coroutine: Coroutine[Any, Any, object]) -> Coroutine[Any, Any, object]:
        """The coroutine, which may now be awaited by the execution."""
        self.coroutines.append(coroutine)
        return coroutine

    async def later(
        self, number: int, function: Callable[..., object], value: object, info: GraphQLResolveInfo[Any], *rest: Any
    ) -> object:
        await self.turn(crc32(repr((info.path.as_list(), number)).encode()) / 2**32)
        return function(value, info, *rest)

    async def lead(self, task: Awaitable[Any]) -> Any:
        """Awaits it while giving the turns. Fails if it waits and nobody has a turn left."""
        task = asyncio.ensure_future(task)
        while not task.done():
            await _quiet()
            if not task.done() and not self._next_turn():
                if self.mode is Mode.RACING:
                    await asyncio.wait([task], timeout=5)
                if not task.done():
                    task.cancel()
                    await asyncio.wait([task])
                    raise AssertionError("the execution waits for nothing")
        return task.result()

    async def drain(self) -> None:
        """Gives every turn that is left, until nothing runs any more."""
        await _quiet()
        while self._next_turn():
            await _quiet()

    def close(self) -> int:
        """Closes the coroutines that nobody awaited, and counts them."""
        never_awaited = [each for each in self.coroutines if inspect.getcoroutinestate(each) == inspect.CORO_CREATED]
        for each in never_awaited:
            each.close()
        return len(never_awaited)

    def _next_turn(self) -> bool:
        self._waiting = [each for each in self._waiting if not each[1].done()]
        if not self._waiting:
            return False
        first = min(self._waiting, key=lambda each: each[0])
        self._waiting.remove(first)
        first[1].set_result(None)
        return True


async def _quiet() -> None:
    """Returns when nothing in the loop can run but the caller."""
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:
        await asyncio.sleep(0)
