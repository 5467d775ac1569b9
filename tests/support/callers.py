"""Clients that call the API at a steady rate, and clients that listen, each of which tries again."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx2
from websockets.exceptions import WebSocketException

from tests.support.client import Person, Socket
from tests.support.waiting import eventually

CALLERS = 40
PAUSE = 0.5  # before a client's retry, and before a socket connects again

# The mix: of ten requests six ask what costs nothing but the session, three read one post, and one likes it.
MIX = ("name", "name", "name", "viewer", "viewer", "viewer", "post", "post", "post", "like")
NAME = "{ __typename }"
VIEWER = "{ viewer { user { id } } }"
POST = "query ($id: ID!) { post(id: $id) { id likeCount } }"
LIKE = "mutation ($id: ID!) { likePost(input: { postId: $id }) { userErrors { code } post { id } } }"
ADDED = "subscription ($after: Int) { notificationAdded(after: $after) { seq } }"


class Callers:
    """Clients that send requests of the mix at a steady rate. Each request that fails is sent once more."""

    def __init__(self, people: Sequence[Person], post_id: str, rate: float) -> None:
        self._people = people
        self._post_id = post_id
        self._rate = rate
        self._numbers = itertools.count()
        self.counts = Counter[str]()
        self.failures: list[str] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Calls until told to stop."""
        began = time.monotonic()

        async def call() -> None:
            while not stopping.is_set():
                number = next(self._numbers)
                await asyncio.sleep(began + number / self._rate - time.monotonic())
                await self._request(self._people[number % len(self._people)], MIX[number % len(MIX)])

        await asyncio.gather(*(call() for _ in range(CALLERS)))

    async def _request(self, person: Person, kind: str) -> None:
        self.counts["requests"] += 1
        if await self._fails(person, kind):
            self.counts["retried"] += 1
            await asyncio.sleep(PAUSE)
            if why := await self._fails(person, kind):
                self.failures.append(why)

    async def _fails(self, person: Person, kind: str) -> str:
        """Why a request failed; empty if it did not."""
        document = {"name": NAME, "viewer": VIEWER, "post": POST, "like": LIKE}[kind]
        variables = {"id": self._post_id} if kind in {"post", "like"} else {}
        try:
            answer = await person.ask(document, **variables)
        except (httpx2.HTTPError, ValueError) as error:
            return f"{kind}: {type(error).__name__} {error}"
        return f"{kind}: {answer}" if answer.errors or answer.status != 200 else ""


class Listener:
    """A client that receives notifications, and connects again with the last number whenever its socket ends."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._socket: Socket | None = None
        self.seqs: list[int] = []
        self.connected = 0

    async def run(self) -> None:
        """Listens until cancelled."""
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with self._person.socket() as self._socket:
                    socket = self._socket
                    await socket.subscribe(ADDED, after=self.seqs[-1] if self.seqs else 0)
                    self.connected += 1
                    while True:
                        self.seqs.append((await socket.next(seconds=300))["notificationAdded"]["seq"])
            await asyncio.sleep(PAUSE)

    def drop(self) -> None:
        """Ends its connection, as when a network is lost."""
        if self._socket is not None:
            self._socket.connection.transport.abort()


@contextlib.asynccontextmanager
async def listening(people: Sequence[Person], number: int) -> AsyncIterator[list[Listener]]:
    """So many connected listeners, divided among these people."""
    listeners = [Listener(people[each % len(people)]) for each in range(number)]
    tasks = [asyncio.create_task(listener.run()) for listener in listeners]
    try:

        async def are_connected() -> bool:
            return all(listener.connected for listener in listeners)

        await eventually(are_connected, seconds=60)
        yield listeners
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
