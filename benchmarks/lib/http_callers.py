"""Callers of an API process over HTTP that use next to no processor time: one open connection each."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from benchmarks.lib.http_load import http_request
from deploy.local.ports import LOOPBACK


class Answer(NamedTuple):
    """One answer: the code of its first error, "refused" (`userErrors`) or "data", and how long it took."""

    outcome: str
    seconds: float


class Caller:
    """One connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def many(cls, port: int, count: int) -> AsyncIterator[list["Caller"]]:
        """`count` connected callers."""
        callers = [cls(*await asyncio.open_connection(LOOPBACK, port)) for _ in range(count)]
        try:
            yield callers
        finally:
            for caller in callers:
                caller.close()

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> Answer:
        """Sends one request, made by `request_of`, and reads its answer."""
        started = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return Answer(_outcome(body), time.perf_counter() - started)


def request_of(query: str, token: str, variables: Mapping[str, Any] | None = None) -> bytes:
    """One request as bytes."""
    headers = {"accept": "application/graphql-response+json", "authorization": f"Bearer {token}"}
    return http_request({"query": query, "variables": variables or {}}, headers)


def _outcome(body: bytes) -> str:
    if b'"extensions":{"code":' not in body[:2000]:
        return "refused" if b'"userErrors":[{' in body else "data"
    return str(json.loads(body)["errors"][0]["extensions"]["code"])
