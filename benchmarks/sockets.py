"""What sockets cost an API process while they are idle, dropped, or not read: `python -m benchmarks.sockets`.

The API is a process of its own, as `photogram serve` runs it; its clients are bare protocols in this one.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
import typer
from bson import ObjectId

from benchmarks.lib.documents import posts, users
from benchmarks.lib.report import Table, median, show
from benchmarks.lib.servers import finish, servers, stores
from benchmarks.lib.socket_client import Client, connect
from config import Settings
from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.sharded_ids import new_id
from datasources.mongo.transactions import in_transaction
from datasources.notifications.notification_log import Notice
from datasources.sources import Sources
from domain.limits import COMMENT_MAX
from domain.records.notifications import NotificationKind
from tests.support.api_process import ApiProcess, api_process
from tests.support.waiting import eventually

MIB = 1024**2
LONGEST = 900.0  # seconds for everything
WARM = 300  # sockets before anything is measured
AT_ONCE = 50
EVENTS = 500
IDLE = "subscription { notificationAdded { seq } }"
# One text of 2,200 characters under so many names that an event has 90 kB.
TEXTS = " ".join(f"t{number}: text" for number in range(90_000 // COMMENT_MAX + 1))
TOLD = 1_000  # sockets that one event is sent to
ROUNDS = 8
NUMBER = "subscription { notificationAdded(after: 0) { seq } }"
SHOWN = """subscription { notificationAdded(after: 0) { seq notification {
  id createdAt isRead ... on PostNotification { kind actorCount actors { id username } post { id likeCount } }
} } }"""
LARGE = f"""subscription {{
  notificationAdded(after: 0) {{ notification {{ ... on PostNotification {{ comment {{ {TEXTS} }} }} }} }}
}}"""


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
        for measure in (_idle, _told, _dropped):
            with api_process(settings) as api:
                tables.append(await measure(sources, api, sockets, seconds))
        with api_process(settings) as api:
            tables.append(await _unread(sources, api))
    return tables


async def _tokens(sources: Sources, count: int) -> list[str]:
    """Access tokens of as many people."""
    now, tokens = clock.now(), list[str]()
    while len(tokens) < count:
        logins = await asyncio.gather(*(sources.sessions.open(ObjectId(), None, now) for _ in range(AT_ONCE)))
        tokens += [login.access_token for _, login in logins]
    return tokens[:count]


async def _subscribe_all(api: ApiProcess, tokens: list[str], document: str = IDLE) -> list[Client]:
    """Idle subscriptions of all of these, acknowledged."""
    clients: list[Client] = []
    for start in range(0, len(tokens), AT_ONCE):
        batch = await asyncio.gather(*(connect(api.port, token, document) for token in tokens[start : start + AT_ONCE]))
        await asyncio.gather(*(client.opened.wait() for client in batch))
        clients += batch
    await asyncio.sleep(3)  # for what follows a subscription
    return clients


async def _idle(sources: Sources, api: ApiProcess, sockets: int, seconds: float) -> Table:
    tokens = await _tokens(sources, WARM + sockets)
    warm = await _subscribe_all(api, tokens[:WARM])
    before = api.memory
    clients = await _subscribe_all(api, tokens[WARM:])
    growth, cpu, finds = api.memory - before, api.cpu, await _finds(sources)
    await asyncio.sleep(seconds)
    cpu, finds = api.cpu - cpu, await _finds(sources) - finds
    lost = sum(client.lost.is_set() for client in (*warm, *clients))
    if lost:
        raise RuntimeError(f"{lost} sockets were closed")
    row = [f"{sockets:,}", f"{growth / sockets / 1024:.1f}", f"{cpu / seconds:.2%}", f"{finds / seconds * 60:.0f}"]
    columns = ["sockets, one subscription each", "KiB each", "of a core", "finds of MongoDB a minute"]
    return Table("Idle subscriptions to notificationAdded", columns, [row])


async def _finds(sources: Sources) -> int:
    return int((await sources.client.admin.command("serverStatus"))["opcounters"]["query"])


async def _told(sources: Sources, api: ApiProcess, sockets: int, _seconds: float) -> Table:
    """One event to all sockets of one viewer: a like. One to a socket each of many viewers: a mention of all."""
    told = min(sockets, TOLD)
    author_id, *actors = await users(sources, 1 + ROUNDS)
    everybody = await users(sources, told)
    (post_id,) = await posts(sources, [author_id])
    columns = ["event", "CPU us a socket", "least", "bytes", "s until all"]
    table = Table(f"One event to {told:,} sockets", columns)
    for whose, viewers in (("of one account", [author_id]), ("of as many accounts", everybody)):
        logins = [await sources.sessions.open(viewer_id, None, clock.now()) for viewer_id in viewers]
        tokens = [login.access_token for _, login in logins] * (told // len(viewers))
        count = 0
        for name, document in (("a number", NUMBER), ("a notification", SHOWN)):
            clients = await _subscribe_all(api, tokens, document)
            await eventually(partial(_have_all, clients, count), seconds=120)
            spent, took = [], []
            for actor_id in actors:
                cpu, began, count = api.cpu, time.perf_counter(), count + 1
                await _notify(sources, viewers, actor_id, post_id, f"{name}:{actor_id}")
                await eventually(partial(_have_all, clients, count), seconds=120)
                took.append(max(client.came_at for client in clients) - began)
                await asyncio.sleep(0.5)
                spent.append((api.cpu - cpu) / told * 1e6)
            cells = [f"{median(spent[1:]):.0f}", f"{min(spent[1:]):.0f}", str(clients[0].largest_event)]
            table.rows.append([f"{name}, {whose}", *cells, f"{median(took[1:]):.2f}"])
            for client in clients:
                client.transport.abort()
    return table


async def _notify(
    sources: Sources, viewers: Sequence[ObjectId], actor_id: ObjectId, post_id: ObjectId, key: str
) -> None:
    """Writes and announces a notification of each viewer, of a like if there is one viewer, else of a mention."""
    notices = [_notice(viewer_id, actor_id, post_id, None, key) for viewer_id in viewers]
    if len(viewers) > 1:
        notices = [msgspec.structs.replace(notice, kind=NotificationKind.MENTIONED) for notice in notices]

    async def write(session: Session) -> None:
        await sources.notifications.write(notices, clock.now(), session)

    async with sources.notifications.changing(viewers):
        await in_transaction(sources.client, write)


async def _have_all(clients: Sequence[Client], count: int) -> bool:
    return all(client.event_count >= count for client in clients)


async def _dropped(sources: Sources, api: ApiProcess, sockets: int, _seconds: float) -> Table:
    tokens = await _tokens(sources, AT_ONCE)

    async def drop(token: str) -> None:
        for _ in range(sockets // AT_ONCE):
            client = await connect(api.port, token, IDLE)
            await client.opened.wait()
            await asyncio.sleep(0.02)
            client.transport.abort()

    (first,) = await _subscribe_all(api, tokens[:1])  # the process is up then
    first.transport.abort()
    table = Table("Opened, subscribed and dropped", ["rounds", "MiB of the process", "MiB more"])
    before = api.memory
    for number in range(4):
        await asyncio.gather(*map(drop, tokens))
        await eventually(partial(_has_no_clients, api), seconds=30)
        await asyncio.sleep(2)
        memory = api.memory
        table.rows.append([f"{sockets * (number + 1):,}", f"{memory / MIB:.0f}", f"{(memory - before) / MIB:.1f}"])
        before = memory
    return table


async def _has_no_clients(api: ApiProcess) -> bool:
    return api.connections()["clients"] == 0


async def _unread(sources: Sources, api: ApiProcess) -> Table:
    token = await _token_with_large_events(sources)
    reader = await connect(api.port, token, LARGE)

    async def has_all() -> bool:
        return reader.event_count == EVENTS

    await eventually(has_all, seconds=120)
    if not 88_000 < reader.largest_event < 95_000:
        raise RuntimeError(f"the events have {reader.largest_event} bytes")
    reader.transport.abort()
    await asyncio.sleep(2)
    before = api.memory
    async with api.peak_memory() as peak:
        silent = await connect(api.port, token, LARGE)
        await silent.opened.wait()
        silent.transport.pause_reading()
        await eventually(partial(_has_no_clients, api), seconds=60)
    silent.transport.abort()
    row = [f"{(peak[0] - before) / MIB:.1f}", f"{(api.memory - before) / MIB:.1f}"]
    return Table(f"One client that reads none of {EVENTS} events of 90 kB", ["MiB at most", "MiB afterwards"], [row])


async def _token_with_large_events(sources: Sources) -> str:
    """The token of somebody with a notification for each of `EVENTS` long comments."""
    now = clock.now()
    viewer_id, author_id = await users(sources, 2)
    (post_id,) = await posts(sources, [viewer_id])
    words = "x" * COMMENT_MAX
    comments = [
        await sources.commenting.add(post_id, author_id, words, now, new_id=new_id(viewer_id)) for _ in range(EVENTS)
    ]
    notices = [_notice(viewer_id, author_id, post_id, comment.id, f"COMMENT:{comment.id}") for comment in comments]
    await in_transaction(sources.client, lambda session: sources.notifications.write(notices, now, session))
    return (await sources.sessions.open(viewer_id, None, now))[1].access_token


def _notice(
    recipient_id: ObjectId, actor_id: ObjectId, post_id: ObjectId, comment_id: ObjectId | None, key: str
) -> Notice:
    kind = NotificationKind.POST_LIKED if comment_id is None else NotificationKind.COMMENTED
    more: dict[str, Any] = {"post_id": post_id, "comment_id": comment_id, "actor_ids": [actor_id], "actor_count": 1}
    return Notice(recipient_id=recipient_id, group_key=key, kind=kind, **more)


if __name__ == "__main__":
    typer.run(main)
