"""Discrete events: workers that take what waits, first come first served, or from a lane of their own."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

import simpy

Events = Generator[simpy.Event, Any, None]


class Pool:
    """So many servers of one queue, each with one task at a time; tasks begin in the order in which they came."""

    def __init__(self, environment: simpy.Environment, servers: int) -> None:
        self._environment = environment
        self._idle = servers
        self._waiting: deque[tuple[float, Callable[[], object]]] = deque()

    def submit(self, seconds: float, then: Callable[[], object]) -> None:
        """Queues a task of so many seconds; `then` is called when it is done."""
        self._waiting.append((seconds, then))
        self._start()

    def _start(self) -> None:
        while self._idle and self._waiting:
            seconds, then = self._waiting.popleft()
            self._idle -= 1
            self._environment.timeout(seconds).callbacks.append(partial(self._finish, then))

    def _finish(self, then: Callable[[], object], _: simpy.Event) -> None:
        self._idle += 1
        then()
        self._start()


def run(environment: simpy.Environment, processes: Iterable[Events]) -> None:
    """Runs these until nothing happens any more."""
    for process in processes:
        environment.process(process)
    environment.run()
