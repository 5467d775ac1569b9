"""One listening socket for several processes, with the connections divided evenly between them.

Each process publishes its number of connections in memory that all share. A process accepts at once if no other has
fewer connections; else it waits a moment, so that one with fewer accepts first. The kernel alone does not divide them:
a burst of sixty connections to idle processes can end in one of them.

No process depends on another. A process that does not answer is waited for by `PATIENCE` for each connection, and for
no longer than `SILENT_SECONDS` in all; what it has not accepted stays in the socket's queue, where others take it.
"""

import asyncio
import mmap
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import structlog

log = structlog.stdlib.get_logger(__name__)

ACCEPTED_AT_ONCE = 16  # before other work has its turn
PATIENCE = 0.03  # seconds for a process with fewer connections to accept before this one does
SILENT_SECONDS = 1.0  # since its last sign of life; then a process is not waited for
EXHAUSTED_PAUSE = 1.0  # without a file descriptor for one more connection
WORDS = 2  # of eight bytes for each process: its connections, and its last sign of life in nanoseconds


class ConnectionCounts:
    """How many connections each process has. A word is written by one process alone, in one piece."""

    def __init__(self, descriptor: int) -> None:
        """Over the memory of `create`, which the descriptor names in every process that has inherited it."""
        self.descriptor = descriptor
        self._words = memoryview(mmap.mmap(descriptor, 0)).cast("Q")

    @classmethod
    def create(cls, processes: int) -> Self:
        """New counts, in memory that children inherit by their descriptor. Nobody has given a sign of life yet."""
        if sys.platform == "linux":
            descriptor = os.memfd_create("photogram-connections")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, processes * WORDS * 8)
        return cls(descriptor)

    def publish(self, number: int, connections: int) -> None:
        """Says how many connections process `number` has, as a sign of life."""
        self._words[number * WORDS] = connections
        self._words[number * WORDS + 1] = time.monotonic_ns()

    def withdraw(self, number: int) -> None:
        """Process `number` accepts no more, or has not begun to. Safe to repeat."""
        self._words[number * WORDS + 1] = 0

    def sign_of_life(self, number: int) -> int:
        """When process `number` published last, by the system's monotonic clock; 0 while it does not accept."""
        return self._words[number * WORDS + 1]

    def fewest(self) -> int | None:
        """The smallest number of connections of a process that lives; None if none does."""
        since = time.monotonic_ns() - int(SILENT_SECONDS * 1e9)
        words = self._words
        return min((words[at] for at in range(0, len(words), WORDS) if words[at + 1] > since), default=None)


class Share(NamedTuple):
    """The place of a process among those that share a listening socket."""

    counts: ConnectionCounts
    number: int


class SharedListener:
    """Accepts connections of a listening socket that other processes have too. Closed as an asyncio server is."""

    def __init__(
        self,
        listener: socket.socket,
        share: Share,
        make_protocol: Callable[[], asyncio.Protocol],
        count_connections: Callable[[], int],
    ) -> None:
        self._listener = listener
        self._counts, self._number = share
        self._make_protocol = make_protocol
        self._count_connections = count_connections
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()  # accepted, and not among the server's connections yet
        self._is_closed = False
        listener.setblocking(False)
        self._listen()

    def publish(self) -> None:
        """To be called several times in a `SILENT_SECONDS`: a sign of life, and the connections that are left."""
        if not self._is_closed:
            self._counts.publish(self._number, self._own)

    def close(self) -> None:
        """Accepts no more; the connections stay. Safe to repeat."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listener)
            self._counts.withdraw(self._number)

    async def wait_closed(self) -> None:
        """Returns when no connection is being opened any more."""
        while self._opening:
            await asyncio.wait(self._opening)

    @property
    def _own(self) -> int:
        return self._count_connections() + len(self._opening)

    def _listen(self) -> None:
        if not self._is_closed:
            self.publish()
            self._loop.add_reader(self._listener, self._on_connection)

    def _on_connection(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._is_ahead():
                self._pause(PATIENCE)
                return
            if not self._accept():
                return

    def _is_ahead(self) -> bool:
        """Whether a process with fewer connections should accept. In large numbers a few make no difference."""
        fewest = self._counts.fewest()
        return fewest is not None and self._own > fewest + fewest // 16

    def _pause(self, seconds: float) -> None:
        """Without a reader meanwhile: what waits in the socket's queue would wake this process again and again."""
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if not self._is_closed:
            self._listen()
            self._accept()

    def _accept(self) -> bool:
        """Accepts one connection, unless another process has; whether there may be more."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            log.error("connections cannot be accepted", error=str(error))  # noqa: TRY400  no stack is needed
            self._pause(EXHAUSTED_PAUSE)
            return False
        opening = self._loop.create_task(self._open(connection))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        self.publish()
        return True

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # the client has gone
            connection.close()
