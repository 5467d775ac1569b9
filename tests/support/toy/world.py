"""What tests of the transports watch and steer: who is signed in, what runs, and what is down."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


class Outage(Exception):
    """A dependency does not answer."""


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
