"""A websocket client of the toy."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.toy.server import Served

PROTOCOL = Subprotocol("graphql-transport-ws")


ACK = {"type": "connection_ack"}


class Client:
    """A client that sends and receives one message at a time."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: object) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def hear(self) -> Any:
        async with asyncio.timeout(20):
            return json.loads(await self.connection.recv())

    async def start(self, payload: dict[str, Any] | None = None) -> None:
        await self.say({"type": "connection_init", **({} if payload is None else {"payload": payload})})
        assert await self.hear() == ACK

    async def subscribe(self, query: str, id_: str = "1", **members: Any) -> None:
        await self.say({"id": id_, "type": "subscribe", "payload": {"query": query, **members}})

    async def closed(self) -> tuple[int, str]:
        """Waits until the server closes. Returns the close code and reason."""
        async with asyncio.timeout(20):
            await self.connection.wait_closed()
        assert self.connection.close_code not in (None, 1006), "closed without a close frame"
        return self.connection.close_code or 0, self.connection.close_reason or ""


@asynccontextmanager
async def connected(toy: Served, **options: Any) -> AsyncIterator[Client]:
    options.setdefault("subprotocols", [PROTOCOL])
    async with connect(toy.socket_url, **options) as connection:
        yield Client(connection)
