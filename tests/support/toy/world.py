"""What tests of the transports watch and steer: who is signed in, what runs, and what is down."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from datasources.concurrency.signals import Signal


class Outage(Exception):
    """A dependency does not answer."""


class Log:
    """Numbered events that subscriptions read."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.reads = 0
        self._listeners: list[Signal] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Signal]:
        """Is set when an event is added during the block."""
        news = Signal()
        self._listeners.append(news)
        try:
            yield news
        finally:
            self._listeners.remove(news)

    def add(self, number: int) -> None:
        self.numbers.append(number)
        for news in self._listeners:
            news.set()

    async def read(self, after: int) -> list[int]:
        """The events after a number as they are now, as if from a server."""
        self.reads += 1
        numbers = [number for number in self.numbers if number > after]
        await asyncio.sleep(0)
        return numbers


@dataclass
class World:
    """What tests observe and control."""

    contexts: list["Context"] = field(default_factory=list)
    running: int = 0
    finished: int = 0
    watches: set["Watch"] = field(default_factory=set)
    authentication_down: bool = False
    mongo_down: bool = False
    stuck: bool = False
    storage_hangs: bool = False
    checks: int = 0
    largest: int = 0  # chunk of a file
    may_leave: bool = False
    log: Log = field(default_factory=Log)
    executed: list[tuple[str | None, int]] = field(default_factory=list)  # for whom which event of the log

    def watch(self, identity: str, ended: Callable[[], None]) -> "Watch":
        watch = Watch(self, identity, ended)
        self.watches.add(watch)
        return watch

    def revoke(self) -> None:
        """Ends all watched sockets."""
        for watch in self.watches:
            watch.ended()

    async def check_storage(self) -> None:
        if self.storage_hangs:
            await asyncio.Event().wait()

    async def check(self) -> None:
        self.checks += 1
        if self.mongo_down:
            raise Outage


@dataclass(eq=False)
class Watch:
    """Watches one socket."""

    world: World
    identity: str
    ended: Callable[[], None]
    renewed: list[str] = field(default_factory=list)

    def renew(self, identity: str) -> None:
        self.renewed.append(identity)

    def stop(self) -> None:
        self.world.watches.discard(self)


@dataclass
class Context:
    """Made for each operation and each event."""

    world: World
    identity: str | None
    request_id: str
    address: str = ""
