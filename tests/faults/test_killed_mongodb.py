"""MongoDB killed during writes: what was acknowledged is stored, and counted once."""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random

from pymongo import WriteConcern

from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.commenting import CommentingStore
from datasources.posts.likes import LikeStore
from domain.jobs import Fact
from tests.support.actions import Action, Progress, carry_out, likes_and_comments, writers
from tests.support.auditing import audit
from tests.support.factories import World, changed_sources
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.own_servers import Server, Servers
from tests.support.stack import Stack

MAX_BURSTS = 20

Record = Callable[[str, object], None]


def weak(world: World) -> World:
    """The same world, with likes and comments acknowledged before they are on disk."""
    database = world.sources.database.with_options(write_concern=WriteConcern(w=1, j=False))
    likes = LikeStore(database, Fact.POST_LIKE, world.sources.job_queue, world.sources.caches.like_marks.invalidate)
    commenting = CommentingStore(database, world.sources.job_queue, world.sources.caches.comments, ShardedIds(None))
    return World(changed_sources(world.sources, post_likes=likes, commenting=commenting))


async def write_and_kill(
    writing: Sequence[World], actions: Sequence[Action], server: Server, away: Sequence[float], rng: Random
) -> Progress:
    """Carries the actions out and kills the server at random moments, for so many seconds each time."""
    progress = Progress()
    moments = sorted(rng.sample(range(len(actions) // 10, len(actions) * 9 // 10), len(away)))

    async def kill() -> None:
        for moment, seconds in zip(moments, away, strict=True):
            await progress.wait_for(moment)
            server.kill()
            await asyncio.sleep(seconds)
            await server.start()

    async with asyncio.TaskGroup() as group:
        group.create_task(carry_out(writing, actions, progress))
        group.create_task(kill())
    return progress


async def test_a_killed_mongodb_loses_nothing_acknowledged_and_counts_nothing_twice(
    own: World, own_stack: Stack, servers: Servers, rng: Random, full_size: bool, record_property: Record
) -> None:
    likes, away = (10_000, (6.0, 0.5)) if full_size else (500, (0.5,))
    # Six seconds are more than `mongo_timeout`: writers must retry actions whose outcome they do not know.
    posts, actions = await likes_and_comments(own, likes, rng)
    await own_stack.workers()
    began = time.monotonic()
    async with writers(servers.settings) as writing:
        progress = await write_and_kill(writing, actions, servers.mongodb, away, rng)
    wrote = time.monotonic()
    await audit(own, has_files=False)
    drained = time.monotonic()
    stored, expected = await stored_outcomes(own), await expected_outcomes(own, actions, posts)
    record_property("acknowledged", len(progress.acknowledged))
    record_property("retries", progress.retries)
    record_property("kills", len(away))
    record_property("lost", count_lost(stored, expected))
    record_property("doubled", count_doubled(stored, expected))
    record_property("seconds", f"{wrote - began:.1f}+{drained - wrote:.1f}")
    assert stored == expected


async def test_the_harness_sees_a_loss_when_writes_are_not_on_disk(
    own: World, servers: Servers, rng: Random, record_property: Record
) -> None:
    """The negative control: likes acknowledged before they are on disk get lost, and the harness says so."""
    bursts = missing = 0
    while not missing and bursts < MAX_BURSTS:
        bursts += 1
        posts, actions = await likes_and_comments(own, 500, rng)
        async with writers(servers.settings) as writing:
            progress = await write_and_kill([weak(world) for world in writing], actions, servers.mongodb, [0.0], rng)
        missing = count_lost(await stored_outcomes(own), await expected_outcomes(own, progress.acknowledged, posts))
    record_property("acknowledged", bursts * len(actions))
    record_property("kills", bursts)
    record_property("lost", missing)
    assert missing > 0
