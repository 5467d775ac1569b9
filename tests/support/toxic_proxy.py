"""A TCP proxy between a client and a server on loopback, which can be made to misbehave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from urllib.parse import urlsplit, urlunsplit

PIECE = 16 * 1024


class Toxic(Enum):
    """How it misbehaves."""

    NONE = auto()
    REFUSE = auto()  # closes every new connection
    BLACK_HOLE = auto()  # reads everything and answers nothing
    SLOW = auto()  # pauses before each piece
    CUT_ANSWERS = auto()  # closes after so many bytes from the server
    CUT_REQUESTS = auto()  # closes after so many bytes from the client


class Proxy:
    """Passes on what comes to `url`. `become` changes how, for open connections too."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.toxic = Toxic.NONE
        self.after = 0
        self.pause = 0.0
        self.met = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        return urlunsplit(self._target._replace(netloc=f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"))

    def become(self, toxic: Toxic, *, after: int = 0, pause: float = 0.0) -> None:
        """Misbehaves in this way from now on: cuts `after` so many bytes, or makes a `pause` in seconds for each piece.

        Open connections are dropped, as by a machine that went down. `met` counts the new connections.
        """
        self.toxic, self.after, self.pause, self.met = toxic, after, pause, 0
        for connection in self._connections:
            connection.cancel()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        async with self._server:
            yield self
            self.become(Toxic.REFUSE)
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.met += 1
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.toxic is Toxic.REFUSE:
            return
        if self.toxic is Toxic.BLACK_HOLE:
            while await reader.read(PIECE):
                pass
            return
        opening = asyncio.create_task(asyncio.open_connection(self._target.hostname, self._target.port))
        try:
            there, to_there = await asyncio.shield(opening)
        except asyncio.CancelledError:  # else nobody would close what is being opened
            _, to_there = await opening
            to_there.transport.abort()
            raise
        try:
            ways = (self._pass(reader, to_there, Toxic.CUT_REQUESTS), self._pass(there, writer, Toxic.CUT_ANSWERS))
            await _until_one_ends(*(asyncio.create_task(way) for way in ways))
        finally:
            to_there.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: Toxic) -> None:
        passed = 0
        while data := await source.read(PIECE):
            if self.toxic is Toxic.SLOW:
                await asyncio.sleep(self.pause)
            if self.toxic is cut:
                data = data[: max(0, self.after - passed)]
            sink.write(data)
            await sink.drain()
            passed += len(data)
            if self.toxic is cut and passed >= self.after:
                return


async def _until_one_ends(*tasks: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a server's address, which behaves well at first."""
    async with Proxy(target).listening() as proxy:
        yield proxy
