"""What sockets cost an API process while they are idle, dropped, or not read: `python -m benchmarks.sockets`.

The API is a process of its own, as `photogram serve` runs it; its clients are bare protocols in this one.
"""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import psutil
import typer
from bson import ObjectId

from benchmarks.lib.report import Table, show
from benchmarks.lib.stack import finish, servers, stores, until
from benchmarks.lib.world import posts, users
from config import Settings
from datasources.mongo.transactions import in_transaction
from datasources.notifications.notifications import Notice
from datasources.sources import Sources
from deploy.local.environment import child_environment
from deploy.local.ports import LOOPBACK, listen
from domain.limits import COMMENT_MAX
from domain.records.notifications import NotificationKind

LONGEST = 900.0  # seconds for everything
WARM = 300  # sockets before anything is measured
AT_ONCE = 50
EVENTS = 500
IDLE = "subscription { notificationAdded { seq } }"
# One text of 2,200 characters under so many names that an event has 90 kB.
TEXTS = " ".join(f"t{number}: text" for number in range(90_000 // COMMENT_MAX + 1))
LARGE = f"""subscription {{
  notificationAdded(after: 0) {{ notification {{ ... on PostNotification {{ comment {{ {TEXTS} }} }} }} }}
}}"""


class Client(asyncio.Protocol):
    """A client that subscribes, answers pings, and counts what it is sent."""

    def __init__(self, token: str, document: str) -> None:
        self._messages = [
            {"type": "connection_init", "payload": {"accessToken": token}},
            {"id": "1", "type": "subscribe", "payload": {"query": document}},
        ]
        self._received = b""
        self._is_upgraded = False
        self.opened = asyncio.Event()
        self.heard = 0
        self.largest = 0  # of the messages, in bytes
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(
            b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-protocol: graphql-transport-ws\r\n"
            b"sec-websocket-key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
        )

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
            for message in self._messages:
                self._send(0x1, json.dumps(message).encode())
        while (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == 0x9:
                self._send(0xA, payload)
            elif opcode == 0x1 and not self.opened.is_set():  # the acknowledgement
                self.opened.set()
            elif opcode == 0x1:
                self.heard += 1
                self.largest = max(self.largest, len(payload))

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

    def _send(self, opcode: int, payload: bytes) -> None:
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + size + bytes(4) + payload)


class Server:
    """The API's process, its memory and its processor time."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self._process = process
        self.port = port

    @property
    def memory(self) -> float:
        """Resident, in KiB."""
        return self._process.memory_info().rss / 1024

    @property
    def cpu(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    @property
    def clients(self) -> int:
        """Connections of clients."""
        return sum(
            one.laddr.port == self.port and one.status == psutil.CONN_ESTABLISHED
            for one in self._process.net_connections("tcp")
        )

    async def connect(self, token: str, document: str) -> Client:
        client = Client(token, document)
        await asyncio.get_running_loop().create_connection(lambda: client, LOOPBACK, self.port)
        return client


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """The API on a free port."""
    with listen(LOOPBACK, 0) as listener:
        port = listener.getsockname()[1]
    settings = settings.model_copy(update={"host": LOOPBACK, "port": port, "allow_root": True})
    command = (sys.executable, "-m", "deploy.cli", "serve")
    process = await asyncio.create_subprocess_exec(*command, env=child_environment(settings))

    async def is_up() -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await until(is_up, 60)
        yield Server(psutil.Process(process.pid), port)
    finally:
        process.terminate()
        await process.wait()


def main(
    sockets: Annotated[int, typer.Option(min=100, help="Idle ones, and those that are dropped.")] = 2_000,
    seconds: Annotated[float, typer.Option(min=10, help="How long they are idle.")] = 60.0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Holds sockets idle, drops them again and again, and leaves one unread."""
    with servers() as settings:
        tables = finish(_measure(settings, sockets, seconds), LONGEST)
    show(tables, ["uvicorn", "websockets", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, sockets: int, seconds: float) -> list[Table]:
    async with stores(settings) as sources:
        tables = []
        for measure in (_idle, _dropped):
            async with serving(settings) as server:
                tables.append(await measure(sources, server, sockets, seconds))
        async with serving(settings) as server:
            tables.append(await _unread(sources, server))
    return tables


async def _tokens(sources: Sources, count: int) -> list[str]:
    """Access tokens of as many people."""
    now, tokens = datetime.now(UTC), list[str]()
    while len(tokens) < count:
        logins = await asyncio.gather(*(sources.sessions.open(ObjectId(), None, now) for _ in range(AT_ONCE)))
        tokens += [login.access_token for _, login in logins]
    return tokens[:count]


async def _all(server: Server, tokens: list[str]) -> list[Client]:
    """Idle subscriptions of all of these, acknowledged."""
    clients: list[Client] = []
    for start in range(0, len(tokens), AT_ONCE):
        some = tokens[start : start + AT_ONCE]
        come = await asyncio.gather(*(server.connect(token, IDLE) for token in some))
        await asyncio.gather(*(client.opened.wait() for client in come))
        clients += come
    await asyncio.sleep(3)  # for what follows a subscription
    return clients


async def _idle(sources: Sources, server: Server, sockets: int, seconds: float) -> Table:
    tokens = await _tokens(sources, WARM + sockets)
    warm = await _all(server, tokens[:WARM])
    before = server.memory
    clients = await _all(server, tokens[WARM:])
    grown, cpu, asked = server.memory - before, server.cpu, await _finds(sources)
    await asyncio.sleep(seconds)
    cpu, asked = server.cpu - cpu, await _finds(sources) - asked
    lost = sum(client.lost.is_set() for client in (*warm, *clients))
    if lost:
        raise RuntimeError(f"{lost} sockets were closed")
    row = [f"{sockets:,}", f"{grown / sockets:.1f}", f"{cpu / seconds:.2%}", f"{asked / seconds * 60:.0f}"]
    columns = ["sockets, one subscription each", "KiB each", "of a core", "finds of MongoDB a minute"]
    return Table("Idle subscriptions to notificationAdded", columns, [row])


async def _finds(sources: Sources) -> int:
    return int((await sources.client.admin.command("serverStatus"))["opcounters"]["query"])


async def _dropped(sources: Sources, server: Server, sockets: int, _seconds: float) -> Table:
    tokens = await _tokens(sources, AT_ONCE)

    async def drop(token: str) -> None:
        for _ in range(sockets // AT_ONCE):
            client = await server.connect(token, IDLE)
            await client.opened.wait()
            await asyncio.sleep(0.02)
            client.transport.abort()

    async def is_empty() -> bool:
        return server.clients == 0

    table = Table("Opened, subscribed and dropped", ["rounds", "MiB of the process", "MiB more"])
    before = server.memory
    for number in range(4):
        await asyncio.gather(*map(drop, tokens))
        await until(is_empty, 30)
        await asyncio.sleep(2)
        now = server.memory
        table.rows.append([f"{sockets * (number + 1):,}", f"{now / 1024:.0f}", f"{(now - before) / 1024:.1f}"])
        before = now
    return table


async def _unread(sources: Sources, server: Server) -> Table:
    now = datetime.now(UTC)
    viewer_id, author_id = await users(sources, 2)
    (post_id,) = await posts(sources, [viewer_id])
    comments = [await sources.comments.add(post_id, author_id, "x" * COMMENT_MAX, now) for _ in range(EVENTS)]
    notices = [_notice(viewer_id, author_id, post_id, comment.id) for comment in comments]
    await in_transaction(sources.client, lambda session: sources.notifications.write(notices, now, session))
    _, tokens = await sources.sessions.open(viewer_id, None, now)
    reader = await server.connect(tokens.access_token, LARGE)

    async def has_heard() -> bool:
        return reader.heard == EVENTS

    await until(has_heard, 120)
    if not 88_000 < reader.largest < 95_000:
        raise RuntimeError(f"the events have {reader.largest} bytes")
    reader.transport.abort()
    await asyncio.sleep(2)
    before = most = server.memory
    stubborn = await server.connect(tokens.access_token, LARGE)
    await stubborn.opened.wait()
    stubborn.transport.pause_reading()

    async def is_closed() -> bool:
        nonlocal most
        most = max(most, server.memory)
        return server.clients == 0

    await until(is_closed, 60)
    stubborn.transport.abort()
    row = [f"{(most - before) / 1024:.1f}", f"{(server.memory - before) / 1024:.1f}"]
    return Table(f"One client that reads none of {EVENTS} events of 90 kB", ["MiB at most", "MiB afterwards"], [row])


def _notice(recipient_id: ObjectId, author_id: ObjectId, post_id: ObjectId, comment_id: ObjectId) -> Notice:
    more: dict[str, Any] = {"post_id": post_id, "comment_id": comment_id, "actor_ids": [author_id], "actor_count": 1}
    kind, key = NotificationKind.COMMENTED, f"{NotificationKind.COMMENTED.value}:{comment_id}"
    return Notice(recipient_id=recipient_id, group_key=key, kind=kind, **more)


if __name__ == "__main__":
    typer.run(main)
