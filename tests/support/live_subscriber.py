"""A subscriber to notifications over a socket, who must miss nothing, and what is said of processes if they do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from deploy.local.process import Process
from domain.records.users import UserRecord
from tests.support.client import Person, Socket
from tests.support.factories import World, now

LINES_SHOWN = 20
ADDED = "subscription { notificationAdded(after: 0) { seq } }"


class Subscriber:
    """Receives a user's notifications over a socket."""

    def __init__(self, user: UserRecord, socket: Socket) -> None:
        self._user = user
        self._socket = socket
        self._receiving = asyncio.create_task(self._receive())
        self.seqs: list[int] = []

    async def _receive(self) -> None:
        while True:
            self.seqs.append((await self._socket.next(seconds=300))["notificationAdded"]["seq"])

    async def stop(self) -> None:
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)

    async def stored(self, world: World) -> set[int]:
        """The numbers of the user's notifications in the database."""
        rows = world.sources.database["notifications"].find({"recipient_id": self._user.id}, {"seq": 1})
        return {row["seq"] async for row in rows}

    async def has_all(self, world: World) -> bool:
        """Whether it received every notification's latest number. No number may come twice or out of order.

        Raises what ended the receiving.
        """
        if self._receiving.done():
            self._receiving.result()
        assert self.seqs == sorted(set(self.seqs))
        return await self.stored(world) <= set(self.seqs)


@asynccontextmanager
async def subscriber(world: World, user: UserRecord, url: str) -> AsyncIterator[Subscriber]:
    """Subscribes to a user's notifications during the block."""
    _, tokens = await world.sources.sessions.open(user.id, None, now())
    async with httpx2.AsyncClient(base_url=url) as http, Person(http, tokens.access_token).socket() as socket:
        await socket.subscribe(ADDED)
        subscribed = Subscriber(user, socket)
        try:
            yield subscribed
        finally:
            await subscribed.stop()


@asynccontextmanager
async def explained(world: World, subscribed: Subscriber, *processes: Process) -> AsyncIterator[None]:
    """If the block fails, its error tells what was received and stored, and what the processes logged last."""
    try:
        yield
    except Exception as error:
        error.add_note(f"received {subscribed.seqs}, stored {sorted(await subscribed.stored(world))}")
        for process in processes:
            lines = process.log.read_text().splitlines()
            bad = [line for line in lines if '"level": "info"' not in line]
            last = (*bad[-LINES_SHOWN:], "...", *lines[-LINES_SHOWN:])
            error.add_note("\n".join((process.name, f"exit code {process.exit_code}", *last)))
        raise
