"""Reads a request's body as it arrives, within limits of size and time, and decodes JSON."""

import asyncio
import time
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from resolvers.transport.errors import Rejected, bad_request
from resolvers.transport.json_parsing import parse_json

CLOSING = {"connection": "close"}  # the unread rest of a body makes the connection useless


class Body:
    """A request's body as it arrives. Only the time of waiting for the client counts against `seconds`."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], *, limit: int, seconds: float) -> None:
        """Raises Rejected (413) for a body that is announced to be larger than `limit` bytes."""
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._size = 0
        self._is_complete = False
        self._failure: Rejected | None = None
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced[:12]) > limit:
            raise self._too_large()

    async def read(self) -> bytes:
        """The next bytes, none at the end. Raises Rejected (413, 408), then at every later call; ClientDisconnect."""
        if self._failure is not None:
            raise self._failure
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                chunk = await self._next()
        except TimeoutError:
            self._failure = bad_request("The request did not arrive in time.", status=408, headers=CLOSING)
            raise self._failure from None
        self._seconds -= time.monotonic() - began
        self._size += len(chunk)
        if self._size > self._limit:
            self._failure = self._too_large()
            raise self._failure
        return chunk

    async def whole(self) -> bytes:
        """The whole body. Raises as `read` does."""
        chunks = [await self.read()]
        while not self._is_complete:
            chunks.append(await self.read())
        return b"".join(chunks)

    async def drain(self) -> None:
        """Discards the rest, for clients that read no answer before they have sent all. Raises as `read` does."""
        while await self.read():
            pass

    async def _next(self) -> bytes:
        while not self._is_complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._is_complete = not message.get("more_body", False)
            body: bytes = message.get("body", b"")
            if body:
                return body
        return b""

    def _too_large(self) -> Rejected:
        return bad_request(f"The request is larger than {self._limit} bytes.", status=413, headers=CLOSING)


def decode_json(text: bytes | str, what: str = "The request") -> object:
    """The JSON value of a text. Raises Rejected (400), which says that `what` is not JSON."""
    try:
        return parse_json(text)
    except ValueError:
        raise bad_request(f"{what} is not valid JSON.") from None
