"""Callers of a served API who cost next to nothing themselves: one connection each, opened beforehand."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.ports import LOOPBACK, listen

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
MEMORY_PAUSE = 0.01


class Heard(NamedTuple):
    """One answer: the code of its first error or "data", how long it took, and its body as it was sent."""

    outcome: str
    seconds: float
    head: bytes
    body: bytes


class Caller:
    """One connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def many(cls, port: int, count: int) -> AsyncIterator[list["Caller"]]:
        """So many callers, connected."""
        callers = [cls(*await asyncio.open_connection(LOOPBACK, port)) for _ in range(count)]
        try:
            yield callers
        finally:
            for caller in callers:
                caller.close()

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> Heard:
        """Sends one request, made by `request_of`, and reads its answer."""
        started = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return Heard(_outcome(body), time.perf_counter() - started, head, body)


def request_of(query: str, token: str, variables: Mapping[str, Any] | None = None, headers: str = "") -> bytes:
    """One request as bytes; `headers` are further lines, each with its end."""
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"accept: application/graphql-response+json\r\nauthorization: Bearer {token}\r\n{headers}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _outcome(body: bytes) -> str:
    if b'"extensions":{"code":' not in body[:2000]:
        return "data"
    return str(json.loads(body)["errors"][0]["extensions"]["code"])


class Served:
    """An API process, the port it serves, and what it takes."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._process = psutil.Process(pid)

    @property
    def cpu(self) -> float:
        """Processor seconds so far."""
        if sys.platform == "linux":
            return time.clock_gettime(~self._process.pid << 3 | 2)  # its clock, as clock_getcpuclockid(3) has it
        used = self._process.cpu_times()  # in hundredths
        return used.user + used.system

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        return self._process.memory_info().rss / 1024**2

    @contextlib.asynccontextmanager
    async def peak(self) -> AsyncIterator[list[float]]:
        """A list of one number: the most memory that it had during the block, in MiB."""
        most = [self.memory]

        async def watch() -> None:
            while True:
                most[0] = max(most[0], self.memory)
                await asyncio.sleep(MEMORY_PAUSE)

        watching = asyncio.create_task(watch())
        try:
            yield most
        finally:
            watching.cancel()


@contextlib.contextmanager
def api(settings: Settings) -> Iterator[Served]:
    """An API process of these settings on a free port; it ends with the block."""
    with listen(LOOPBACK, 0) as listener:
        port = listener.getsockname()[1]
        command = (sys.executable, "-m", "deploy.cli", "serve", "--listener", str(listener.fileno()))
        process = subprocess.Popen(command, cwd=ROOT, env=child_environment(settings), pass_fds=[listener.fileno()])
    try:
        yield Served(port, process.pid)
    finally:
        process.terminate()
        process.wait(START_SECONDS)
