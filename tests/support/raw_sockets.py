"""A websocket client without a library: it can vanish, can stop reading, and takes little memory."""

import asyncio
import json
from typing import Any, Self

from deploy.local.ports import LOOPBACK

PROTOCOL = "graphql-transport-ws"
TEXT, PING, PONG = 0x1, 0x9, 0xA  # opcodes of RFC 6455


def handshake(*headers: str) -> bytes:
    """The request that opens a socket, with additional headers."""
    lines = (
        "GET /graphql HTTP/1.1", "host: x", "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13",
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", f"sec-websocket-protocol: {PROTOCOL}", *headers, "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def frame(message: object) -> bytes:
    """A client's text frame."""
    return frame_of(TEXT, json.dumps(message).encode())


def frame_of(opcode: int, data: bytes) -> bytes:
    """A client's frame of at most 64 KiB, masked with zeros."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + bytes(4) + data


class RawSocket:
    """One connection, which does not answer pings."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def opened(cls, port: int, token: str | None) -> Self:
        """Opens a socket and waits until the server has acknowledged it."""
        socket = cls(*await asyncio.open_connection(LOOPBACK, port, limit=4_096))
        socket._writer.write(handshake())
        await socket._reader.readuntil(b"\r\n\r\n")
        socket.say({"type": "connection_init", "payload": {"accessToken": token}})
        await socket._reader.readuntil(b'"connection_ack"}')
        return socket

    def say(self, message: dict[str, Any]) -> None:
        self._writer.write(frame(message))

    async def subscribe(self, document: str, operation: str = "1") -> None:
        self.say({"id": operation, "type": "subscribe", "payload": {"query": document}})
        await self._writer.drain()

    def abort(self) -> None:
        """Drops the connection without a close frame."""
        self._writer.transport.abort()
