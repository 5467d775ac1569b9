"""A client of a socket that uses next to no processor time and memory."""

import asyncio
import time
from typing import cast

from deploy.local.ports import LOOPBACK
from tests.support.raw_sockets import PING, PONG, TEXT, frame, frame_of, handshake


class Client(asyncio.Protocol):
    """A client that subscribes, answers pings, and counts the events it is sent."""

    def __init__(self, token: str, document: str) -> None:
        self._frames = [
            frame({"type": "connection_init", "payload": {"accessToken": token}}),
            frame({"id": "1", "type": "subscribe", "payload": {"query": document}}),
        ]
        self._received = b""
        self._is_upgraded = False
        self.opened = asyncio.Event()
        self.event_count = 0
        self.came_at = 0.0  # when the last event came, by `time.perf_counter`
        self.largest_event = 0  # in bytes
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(handshake())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_upgraded:
            head, end, self._received = self._received.partition(b"\r\n\r\n")
            if not end:
                self._received = head
                return
            self._is_upgraded = True
            self.transport.writelines(self._frames)
        while (received := self._next_frame()) is not None:
            opcode, payload = received
            if opcode == PING:
                self.transport.write(frame_of(PONG, payload))
            elif opcode == TEXT and not self.opened.is_set():  # the acknowledgement
                self.opened.set()
            elif opcode == TEXT:
                self.event_count += 1
                self.came_at = time.perf_counter()
                self.largest_event = max(self.largest_event, len(payload))

    def _next_frame(self) -> tuple[int, bytes] | None:
        if len(self._received) < 2:
            return None
        size, start = self._received[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(self._received[2:start], "big")
        if len(self._received) < start + size:
            return None
        opcode, payload = self._received[0] & 15, self._received[start : start + size]
        self._received = self._received[start + size :]
        return opcode, payload


async def connect(port: int, token: str, document: str) -> Client:
    """A client that is subscribing; `opened` tells when it is acknowledged."""
    client = Client(token, document)
    await asyncio.get_running_loop().create_connection(lambda: client, LOOPBACK, port)
    return client
