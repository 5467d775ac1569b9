"""Redis emptied and killed amid writing: it only wakes, so nothing is lost, and all is right soon after its return."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import httpx2
from redis.asyncio import Redis

from domain.records.users import UserRecord
from tests.support.actions import Progress, carry_out, random_actions, writers
from tests.support.auditing import audit
from tests.support.client import Person
from tests.support.factories import World, now
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.own_servers import Servers
from tests.support.stack import Stack, start_all
from tests.support.waiting import eventually

PATIENCE = 120.0  # seconds; the promise is 30 on an idle machine, and the summary says how many it took
PAUSING = 30.0  # lines a second that all processes may write about an outage, beside two for each deed
ADDED = "subscription { notificationAdded(after: 0) { seq } }"

Record = Callable[[str, object], None]


class Logs:
    """The warnings and errors in some processes' logs since the last look."""

    def __init__(self, *files: Path) -> None:
        self._offsets = {file: file.stat().st_size for file in files}
        self._began = time.monotonic()

    def events(self) -> tuple[Counter[str], float]:
        """How often each event was logged, and in how many seconds."""
        events: Counter[str] = Counter()
        for file, offset in self._offsets.items():
            lines = file.read_bytes()[offset:].splitlines()
            said = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]
            events.update(
                f"{line['level']} {line['event']}" for line in said if line["level"] in {"warning", "error", "critical"}
            )
            self._offsets[file] = file.stat().st_size
        began, self._began = self._began, time.monotonic()
        return events, self._began - began


@asynccontextmanager
async def subscriber(world: World, user: UserRecord, url: str) -> AsyncIterator[list[int]]:
    """Hears a user's notifications all the while; yields the numbers heard so far."""
    heard: list[int] = []
    _, tokens = await world.sources.sessions.open(user.id, None, now())
    async with httpx2.AsyncClient(base_url=url) as http, Person(http, tokens.access_token).socket() as socket:
        await socket.subscribe(ADDED)

        async def hear() -> None:
            while True:
                heard.append((await socket.next(seconds=300))["notificationAdded"]["seq"])

        hearing = asyncio.create_task(hear())
        try:
            yield heard
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def test_emptied_and_killed_redis_loses_nothing_and_all_is_right_soon_after_its_return(
    own: World, own_stack: Stack, servers: Servers, rng: Random, full_size: bool, record_property: Record
) -> None:
    size, away = (2_000, 20.0) if full_size else (200, 2.0)
    users = await own.users(size // 40 + 5)
    await own.open_feeds(*users)
    posts = [await own.post(user) for user in users]
    api, workers = await start_all(own_stack)
    deeds, tally = random_actions(rng, users, posts, size), Progress()
    before, after = deeds[: size * 9 // 10], deeds[size * 9 // 10 :]
    logs = Logs(api.log, workers.log)

    async def break_redis() -> tuple[Counter[str], float]:
        await tally.wait_for(rng.randrange(1, len(before) // 2))
        async with Redis.from_url(servers.valkey.url, socket_timeout=5) as redis:
            await redis.flushall()
        servers.valkey.kill()
        logs.events()
        await asyncio.sleep(away)
        said = logs.events()
        await servers.valkey.start()
        return said

    async def is_right() -> bool:
        return await stored_outcomes(own) == await expected_outcomes(own, deeds, posts)

    async with writers(servers.settings) as writing, subscriber(own, users[0], own_stack.url) as heard:
        (said, seconds), _ = await asyncio.gather(break_redis(), carry_out(writing, before, tally))
        returned = time.monotonic()
        await carry_out(writing, after, tally)
        await eventually(is_right, seconds=PATIENCE, every=0.5)
        right = time.monotonic() - returned
        said_after, _ = logs.events()
        await audit(own, has_files=False)
        await eventually(lambda: has_heard_all(own, users[0], heard), seconds=PATIENCE)
    there, wanted = await stored_outcomes(own), await expected_outcomes(own, deeds, posts)
    record_property("acknowledged", len(tally.acknowledged))
    record_property("lost", count_lost(there, wanted))
    record_property("doubled", count_doubled(there, wanted))
    record_property("right_after_seconds", f"{right:.1f}")
    record_property("log_lines", f"{said.total()}+{said_after.total()}")
    for events, within in ((said, seconds), (said_after, right), logs.events()):
        assert events.total() < PAUSING * within + 2 * size, events
        assert not [event for event in events if not event.startswith("warning")], events


async def has_heard_all(world: World, user: UserRecord, heard: list[int]) -> bool:
    """Whether a subscriber heard of every notification as it stands; no number ever comes twice, or out of order."""
    assert heard == sorted(set(heard))
    rows = world.sources.database["notifications"].find({"recipient_id": user.id}, {"seq": 1})
    return {row["seq"] async for row in rows} <= set(heard)
