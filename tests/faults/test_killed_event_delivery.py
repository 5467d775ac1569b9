"""Workers, Redis and a receiver of webhooks fail again and again while users like posts: every like is told."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from standardwebhooks import Webhook

from datasources.jobs.outbox import FIRST_PAUSE
from tests.support.auditing import count_pending
from tests.support.events import checked
from tests.support.factories import World, now, opened
from tests.support.own_servers import Servers
from tests.support.receiver import receiving
from tests.support.stack import stack_on
from tests.support.waiting import eventually

LONGEST_LIFE = 1.5  # seconds
PATIENCE = 240.0

Record = Callable[[str, object], None]


async def test_every_like_is_told_whatever_is_killed(
    servers: Servers, tmp_path: Path, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, posts_made = (10, 40) if full_size else (3, 8)
    changes = {"events": ("webhooks",), "webhook_private_addresses": True}
    settings = servers.settings.model_copy(update=changes)
    async with opened(settings) as world, receiving() as receiver:
        endpoint = await world.sources.webhook_endpoints.add(receiver.url, [])
        author, *users = await world.users(12)
        posts = [await world.post(author) for _ in range(posts_made)]
        likes = [(post.id, user.id) for post in posts for user in users]
        rng.shuffle(likes)
        with stack_on(settings, tmp_path) as stack:
            for n in range(kills):
                worker = await stack.workers()
                receiver.status = rng.choice([200, 503])
                acting = asyncio.gather(*(world.sources.post_likes.like(*like, now()) for like in likes[n::kills]))
                await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
                worker.kill()
                if n == kills // 2:
                    servers.valkey.kill()
                await acting
                if n == kills // 2:
                    await servers.valkey.start()
            receiver.status = 200
            await stack.workers()

            async def is_told() -> bool:
                await _make_due(world)
                return not await count_pending(world, limit=1)

            await eventually(is_told, seconds=PATIENCE, every=0.5)
        stored = await world.sources.database["post_likes"].find({"liked": True}).to_list()
    taken = Counter[str]()
    for headers, body in receiver.received:
        Webhook(endpoint.secrets[0].value).verify(body, headers)
        event = checked(json.loads(body))
        if event["type"] == "photogram.post.liked.v1":
            taken[event["id"]] += 1
    assert len(stored) == len(likes)
    assert set(taken) == {f"post_liked:{like['_id']}:1" for like in stored}
    record_property("likes", len(likes))
    record_property("sent_again", taken.total() - len(taken))


async def _make_due(world: World) -> None:
    """Makes it time for the next attempts, which may be hours away."""
    later = {"state": "WAITING", "next_at": {"$gt": now() + FIRST_PAUSE}, "attempts": {"$gt": 0}}
    await world.sources.database["webhook_messages"].update_many(later, {"$set": {"next_at": now(), "due_at": now()}})
