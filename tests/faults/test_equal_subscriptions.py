"""Many equal subscriptions in one process, of which one reads for all, while Redis is killed and clients leave."""

import asyncio
from collections.abc import Callable
from random import Random

import httpx2

from tests.support.auditing import audit
from tests.support.callers import Listener, listening
from tests.support.client import Person
from tests.support.factories import World, now
from tests.support.own_servers import Servers
from tests.support.stack import Stack, start_all
from tests.support.waiting import eventually

PATIENCE = 120.0  # seconds; a process that misses news asks again after fifteen


async def test_each_gets_each_event_once_and_in_order_while_redis_is_killed_and_comes_back(
    own: World, own_stack: Stack, servers: Servers, rng: Random, full_size: bool,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    number, rounds, comments = (200, 6, 20) if full_size else (24, 2, 4)
    ana, *others = await own.users(5)
    post = await own.post(ana)
    await start_all(own_stack)
    _, tokens = await own.sources.sessions.open(ana.id, None, now())

    async def happen() -> None:
        for _ in range(comments):
            await own.comment(post, rng.choice(others))
            await asyncio.sleep(rng.uniform(0, 0.2))

    async def got_all(listeners: list[Listener]) -> bool:
        rows = own.sources.database["notifications"].find({"recipient_id": ana.id}, {"seq": 1})
        stored = sorted([row["seq"] async for row in rows])
        for listener in listeners:
            assert listener.seqs == stored[: len(listener.seqs)]
        return all(listener.seqs == stored for listener in listeners)

    async with (
        httpx2.AsyncClient(base_url=own_stack.url) as http,
        listening([Person(http, tokens.access_token)], number) as listeners,
    ):
        for _ in range(rounds):
            await happen()
            servers.valkey.kill()
            for listener in rng.sample(listeners, number * 3 // 4):  # the one that reads is likely among them
                listener.drop()
            await happen()
            await servers.valkey.start()
            await happen()
        await audit(own, has_files=False, seconds=PATIENCE)
        await eventually(lambda: got_all(listeners), seconds=PATIENCE)
        events = len(listeners[0].seqs)
        record_property("events", events)
        record_property("connected_again", sum(listener.connected - 1 for listener in listeners))
        assert events >= rounds * comments * 3
