"""Redis emptied and killed during writes: it only wakes workers, so nothing is lost, and soon all is correct again."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from redis.asyncio import Redis

from tests.support.actions import Progress, carry_out, random_actions, writers
from tests.support.auditing import audit
from tests.support.factories import World
from tests.support.live_subscriber import explained, subscriber
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.own_servers import Servers
from tests.support.stack import Stack, start_all
from tests.support.waiting import eventually

PATIENCE = 120.0  # seconds; the promise is 30 on an idle machine, and the summary says how long it took
LOG_RATE = 30.0  # lines a second that all processes together may log about an outage, beside two for each action

Record = Callable[[str, object], None]


class Logs:
    """New warnings and errors in the logs of some processes."""

    def __init__(self, *files: Path) -> None:
        self._offsets = {file: file.stat().st_size for file in files}
        self._began = time.monotonic()

    def events(self) -> tuple[Counter[str], float]:
        """How often each event was logged since the last call, and in how many seconds."""
        events: Counter[str] = Counter()
        for file, offset in self._offsets.items():
            lines = file.read_bytes()[offset:].splitlines()
            entries = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]
            bad = [entry for entry in entries if entry["level"] in {"warning", "error", "critical"}]
            events.update(f"{entry['level']} {entry['event']}" for entry in bad)
            self._offsets[file] = file.stat().st_size
        began, self._began = self._began, time.monotonic()
        return events, self._began - began


async def test_an_emptied_and_killed_redis_loses_nothing_and_all_is_correct_soon_after_its_return(
    own: World, own_stack: Stack, servers: Servers, rng: Random, full_size: bool, record_property: Record
) -> None:
    size, away = (2_000, 20.0) if full_size else (200, 2.0)
    users = await own.users(size // 40 + 5)
    await own.open_feeds(*users)
    posts = [await own.post(user) for user in users]
    api, workers = await start_all(own_stack)
    actions, progress = random_actions(rng, users, posts, size), Progress()
    before, after = actions[: size * 9 // 10], actions[size * 9 // 10 :]
    logs = Logs(api.log, workers.log)

    async def break_redis() -> tuple[Counter[str], float]:
        await progress.wait_for(rng.randrange(1, len(before) // 2))
        async with Redis.from_url(servers.valkey.url, socket_timeout=5) as redis:
            await redis.flushall()
        servers.valkey.kill()
        logs.events()
        await asyncio.sleep(away)
        events_while_away = logs.events()
        await servers.valkey.start()
        return events_while_away

    async def is_correct() -> bool:
        return await stored_outcomes(own) == await expected_outcomes(own, actions, posts)

    async with (
        writers(servers.settings) as writing,
        subscriber(own, users[0], own_stack.url) as subscribed,
        explained(own, subscribed, api, workers),
    ):
        (events_while_away, seconds), _ = await asyncio.gather(break_redis(), carry_out(writing, before, progress))
        returned = time.monotonic()
        await carry_out(writing, after, progress)
        await eventually(is_correct, seconds=PATIENCE, every=0.5)
        correct = time.monotonic() - returned
        events_after, _ = logs.events()
        await audit(own, has_files=False)
        await eventually(lambda: subscribed.has_all(own), seconds=PATIENCE)
        stored, expected = await stored_outcomes(own), await expected_outcomes(own, actions, posts)
        record_property("acknowledged", len(progress.acknowledged))
        record_property("lost", count_lost(stored, expected))
        record_property("doubled", count_doubled(stored, expected))
        record_property("correct_after_seconds", f"{correct:.1f}")
        record_property("log_lines", f"{events_while_away.total()}+{events_after.total()}")
        for events, within in ((events_while_away, seconds), (events_after, correct), logs.events()):
            assert events.total() < LOG_RATE * within + 2 * size, events
            assert not [event for event in events if not event.startswith("warning")], events
