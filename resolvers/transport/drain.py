"""How the process stops serving: first readiness turns false, then its sockets are closed."""

import asyncio
from collections.abc import Awaitable, Callable


class Drain:
    """The state of draining. The readiness probe fails from its begin on; sockets are closed at its end."""

    def __init__(self) -> None:
        self.begun = False
        self._closers: set[Callable[[float], Awaitable[None]]] = set()

    def begin(self) -> None:
        """Turns readiness false; requests are served as before. Safe in a signal handler, and to repeat."""
        self.begun = True

    def add(self, close: Callable[[float], Awaitable[None]]) -> None:
        """Registers a socket: `close(seconds)` finishes its operations within the time and closes it with 1012."""
        self._closers.add(close)

    def remove(self, close: Callable[[float], Awaitable[None]]) -> None:
        self._closers.discard(close)

    async def close_sockets(self, within: float) -> None:
        """Closes every socket. Returns when all are closed or the time is over."""
        self.begin()
        closing = [asyncio.ensure_future(close(within)) for close in self._closers]
        if closing:
            _, late = await asyncio.wait(closing, timeout=within + 1)
            for task in late:
                task.cancel()
