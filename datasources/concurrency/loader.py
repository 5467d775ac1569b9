"""Loads values by key for one GraphQL operation: each key once, and all keys asked for together by one call."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Loader(Generic[Key, Value]):
    """Values that `find` finds in the order of its keys, which are distinct.

    Keys that are asked for in the same turn of the event loop are found by one call. A value is kept as long as the
    loader; a failure is not, so its keys are looked for again. Whoever stops waiting stops nobody else; a call for
    which nobody waits any more is cancelled. `names` are what stands for keys in dictionaries, if not they themselves.
    """

    __slots__ = ("_entries", "_find", "_names", "_next")

    def __init__(
        self,
        find: Callable[[Sequence[Key]], Awaitable[Sequence[Value]]],
        names: Callable[[Iterable[Key]], Iterable[Any]] = iter,
    ) -> None:
        self._find = find
        self._names = names
        self._entries: dict[Any, Any] = {}  # the value of a key, or the call that looks for it
        self._next: _Call | None = None  # still takes keys

    def load(self, key: Key) -> "asyncio.Future[Value]":
        """The value of a key: a future that is done if the value is known. It raises what `find` raised."""
        return self._wait((key,), _first_or_raise)

    def load_many(self, keys: Iterable[Key]) -> "asyncio.Future[list[Value]]":
        """The values in the order of the keys: a future that is done if all are known. It raises the first failure."""
        return self._wait(tuple(keys), _all_or_raise)

    def batch(self, keys: Sequence[Key]) -> "list[Value | Exception] | asyncio.Future[list[Value | Exception]]":
        """The values in the order of the keys: at once if all are known, else a future.

        In the place of a key for which `find` raised an exception is that exception.
        """
        entries, values = self._entries, list[Any]()
        for name in self._names(keys):
            entry = entries.get(name, _UNKNOWN)
            if entry is _UNKNOWN or type(entry) is _Call:
                return self._wait(tuple(keys), _each)
            values.append(entry)
        return values

    def unknown(self, keys: Sequence[Key]) -> list[Key]:
        """Those of these keys whose values are not known, each once."""
        unknown: dict[Any, Key] = {}
        for name, key in zip(self._names(keys), keys, strict=True):
            entry = self._entries.get(name, _UNKNOWN)
            if entry is _UNKNOWN or type(entry) is _Call:
                unknown[name] = key
        return list(unknown.values())

    def prime(self, keys: Sequence[Key], values: Sequence[Value]) -> None:
        """Adds values of these keys that were found elsewhere, but of keys that are known or being looked for."""
        for name, value in zip(self._names(keys), values, strict=True):
            self._entries.setdefault(name, value)

    def _wait(self, keys: tuple[Key, ...], answer: "Answer") -> "asyncio.Future[Any]":
        names = tuple(self._names(keys))
        entries, calls, call = self._entries, dict[_Call, None](), self._next
        for name, key in zip(names, keys, strict=True):
            entry = entries.get(name, _UNKNOWN)
            if entry is _UNKNOWN:
                call = call or self._open_call()
                call.keys.append(key)
                call.names.append(name)
                entry = entries[name] = call
            if type(entry) is _Call:
                calls[entry] = None
        return _Waiter(names, entries, answer, tuple(calls))

    def _open_call(self) -> "_Call":
        call = self._next = _Call(self._close)
        # It begins one turn later: tasks that begin in this turn ask for their keys in the next.
        asyncio.get_running_loop().call_soon(self._begin, call)
        return call

    def _begin(self, call: "_Call") -> None:
        if call.is_waited_for:
            call.task = asyncio.get_running_loop().create_task(self._run(call))

    async def _run(self, call: "_Call") -> None:
        if self._next is call:
            self._next = None
        failures: dict[Any, Exception] = {}
        try:
            found = dict(zip(call.names, await self._find(call.keys), strict=True))
        except Exception as error:  # noqa: BLE001  whoever waits for the keys raises it
            failures = dict.fromkeys(call.names, error)
            self._close(call)
        except BaseException:
            self._close(call)
            call.cancel_waiters()
            raise
        else:
            if call.is_waited_for:  # else its keys are not its own any more
                self._entries |= found
        call.finish(failures)

    def _close(self, call: "_Call") -> None:
        if self._next is call:
            self._next = None
        for name in call.names:
            if self._entries.get(name) is call:
                del self._entries[name]


_UNKNOWN = object()


class _Call:
    """A call of `find` for some keys, and who waits for it."""

    __slots__ = ("_close", "_waiters", "_waiting", "keys", "names", "task")

    def __init__(self, close: "Callable[[_Call], None]") -> None:
        self._close = close
        self._waiters: list[_Waiter] = []
        self._waiting = 0
        self.keys: list[Any] = []
        self.names: list[Any] = []  # of the keys, in their order
        self.task: asyncio.Task[None] | None = None

    def add(self, waiter: "_Waiter") -> None:
        self._waiters.append(waiter)
        self._waiting += 1

    @property
    def is_waited_for(self) -> bool:
        return self._waiting > 0

    def leave(self) -> None:
        """One who waited does not wait any more."""
        self._waiting -= 1
        if not self._waiting:
            self._close(self)  # at once: who comes now needs another call
            if self.task is not None:
                self.task.cancel()

    def finish(self, failures: Mapping[Any, Exception]) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.advance(failures)

    def cancel_waiters(self) -> None:
        for waiter in self._waiters:
            waiter.cancel()


Answer = Callable[[Sequence[Any], Mapping[Any, Any], Mapping[Any, Exception]], Any]


class _Waiter(asyncio.Future[Any]):
    """What one caller waits for: done as soon as all calls for its keys are, with the answer made of what is known."""

    def __init__(
        self, names: Sequence[Any], known: Mapping[Any, Any], answer: Answer, calls: tuple[_Call, ...]
    ) -> None:
        super().__init__()
        self._names = names
        self._known = known
        self._answer = answer
        self._calls = calls
        self._left = len(calls)
        self._failures: dict[Any, Exception] = {}
        for call in calls:
            call.add(self)
        if not calls:
            self._finish()

    def advance(self, failures: Mapping[Any, Exception]) -> None:
        """One of the calls is over."""
        self._left -= 1
        if failures:
            self._failures |= failures
        if not self._left and not self.done():
            self._finish()

    def cancel(self, msg: Any | None = None) -> bool:
        calls, self._calls = self._calls, ()
        for call in calls:
            call.leave()
        return super().cancel(msg)

    def _finish(self) -> None:
        self._calls = ()
        try:
            self.set_result(self._answer(self._names, self._known, self._failures))
        except Exception as error:  # noqa: BLE001  whoever waits raises it
            self.set_exception(error)


def _first_or_raise(names: Sequence[Any], known: Mapping[Any, Any], failures: Mapping[Any, Exception]) -> Any:
    return _all_or_raise(names, known, failures)[0]


def _all_or_raise(names: Sequence[Any], known: Mapping[Any, Any], failures: Mapping[Any, Exception]) -> list[Any]:
    for name in names if failures else ():
        if name in failures:
            raise failures[name]
    return [known[name] for name in names]


def _each(names: Sequence[Any], known: Mapping[Any, Any], failures: Mapping[Any, Exception]) -> list[Any]:
    return [failures[name] if name in failures else known[name] for name in names]
