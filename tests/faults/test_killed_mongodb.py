"""MongoDB killed amid writing: what was acknowledged is there, and counted once."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from pymongo import WriteConcern

from datasources.posts.comments import CommentStore
from datasources.posts.likes import LikeStore
from domain.jobs import Fact
from domain.records.posts import PostRecord
from tests.support.actions import Action, Comment, Like, Progress, carry_out, writers
from tests.support.auditing import audit
from tests.support.factories import World
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.own_servers import Server, Servers
from tests.support.stack import Stack

MOST_BURSTS = 20

Record = Callable[[str, object], None]


async def likes_and_comments(world: World, likes: int, rng: Random) -> tuple[list[PostRecord], list[Action]]:
    """Likes of distinct pairs of user and post, and a comment for every twentieth, in random order."""
    authors, users = await world.users(4), await world.users(likes // 20)
    posts = [await world.post(author) for author in authors for _ in range(5)]
    await world.drain()
    pairs = [(user.id, post.id) for user in users for post in posts]
    comments = [Comment(user_id, post_id, f"{user_id} on {post_id}") for user_id, post_id in pairs[::20]]
    deeds: list[Action] = [*(Like(user_id, post_id) for user_id, post_id in pairs), *comments]
    rng.shuffle(deeds)
    return posts, deeds


def weak(world: World) -> World:
    """The same world, its likes and comments acknowledged by memory alone."""
    database = world.sources.database.with_options(write_concern=WriteConcern(w=1, j=False))
    likes = LikeStore(database, Fact.POST_LIKE, world.sources.job_queue)
    comments = CommentStore(database, world.sources.job_queue)
    return World(replace(world.sources, post_likes=likes, comments=comments))


async def write_and_kill(
    writing: Sequence[World], deeds: Sequence[Action], server: Server, away: Sequence[float], rng: Random
) -> Progress:
    """Carries the deeds out; kills the server at random moments of that, for so many seconds each time."""
    tally = Progress()
    moments = sorted(rng.sample(range(len(deeds) // 10, len(deeds) * 9 // 10), len(away)))

    async def kill() -> None:
        for moment, seconds in zip(moments, away, strict=True):
            await tally.wait_for(moment)
            server.kill()
            await asyncio.sleep(seconds)
            await server.start()

    async with asyncio.TaskGroup() as group:
        group.create_task(carry_out(writing, deeds, tally))
        group.create_task(kill())
    return tally


async def test_killed_mongodb_loses_nothing_acknowledged_and_counts_nothing_twice(
    own: World, own_stack: Stack, servers: Servers, rng: Random, full_size: bool, record_property: Record
) -> None:
    likes, away = (10_000, (6.0, 0.5)) if full_size else (500, (0.5,))
    # Six seconds are more than `mongo_timeout`: then writers must try again what they do not know the end of.
    posts, deeds = await likes_and_comments(own, likes, rng)
    await own_stack.workers()
    began = time.monotonic()
    async with writers(servers.settings) as writing:
        tally = await write_and_kill(writing, deeds, servers.mongodb, away, rng)
    wrote = time.monotonic()
    await audit(own, has_files=False)
    drained = time.monotonic()
    there, wanted = await stored_outcomes(own), await expected_outcomes(own, deeds, posts)
    record_property("acknowledged", len(tally.acknowledged))
    record_property("retries", tally.retries)
    record_property("kills", len(away))
    record_property("lost", count_lost(there, wanted))
    record_property("doubled", count_doubled(there, wanted))
    record_property("seconds", f"{wrote - began:.1f}+{drained - wrote:.1f}")
    assert there == wanted


async def test_the_harness_sees_the_loss_when_writes_are_not_kept(
    own: World, servers: Servers, rng: Random, record_property: Record
) -> None:
    """The negative control: acknowledged by memory alone, likes are lost, and the harness says so."""
    bursts = lacking = 0
    while not lacking and bursts < MOST_BURSTS:
        bursts += 1
        posts, deeds = await likes_and_comments(own, 500, rng)
        async with writers(servers.settings) as writing:
            tally = await write_and_kill([weak(world) for world in writing], deeds, servers.mongodb, [0.0], rng)
        lacking = count_lost(await stored_outcomes(own), await expected_outcomes(own, tally.acknowledged, posts))
    record_property("acknowledged", bursts * len(deeds))
    record_property("kills", bursts)
    record_property("lost", lacking)
    assert lacking > 0
