"""One server of several killed during writes: of MongoDB's replica set the primary, of Valkey's cluster a master."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from random import Random

import pytest
from pymongo import WriteConcern
from redis.asyncio import Redis

from config import Settings
from datasources.jobs.redis_queue import stream_key
from datasources.redis.servers import following
from deploy.local import replica_set, valkey_cluster
from tests.support.actions import Progress, carry_out, likes_and_comments, random_actions, writers
from tests.support.auditing import audit
from tests.support.factories import opened
from tests.support.live_subscriber import explained, subscriber
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.own_clusters import MongoSet, ValkeyCluster, own_members
from tests.support.stack import stack_on, start_all
from tests.support.waiting import eventually
from tests.support.word_cache import WordCache, Words

MAX_GAP = 15.0  # seconds in which no write is acknowledged
PATIENCE = 120.0  # seconds; the promise is 30 on an idle machine, and the summary says how long it took

Record = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def _takes_minutes(pytestconfig: pytest.Config, full_size: bool) -> None:
    if not (full_size or pytestconfig.getoption("--cluster")):
        pytest.skip("make test-cluster and make test-faults run it")


@pytest.fixture
async def members(tmp_path: Path) -> AsyncIterator[MongoSet]:
    with own_members(MongoSet, tmp_path / "servers") as members:
        await members.wait_until_ready()
        yield members


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ValkeyCluster]:
    with own_members(ValkeyCluster, tmp_path / "servers") as cluster:
        await cluster.wait_until_ready()
        yield cluster


async def longest_gap(progress: Progress, total: int) -> float:
    """The longest time in which no action was acknowledged, until all are."""
    longest, since, seen = 0.0, time.monotonic(), 0
    while seen < total:
        await asyncio.sleep(0.02)
        if len(progress.acknowledged) > seen:
            seen, since = len(progress.acknowledged), time.monotonic()
        longest = max(longest, time.monotonic() - since)
    return longest


async def test_a_killed_primary_loses_nothing_acknowledged_and_another_takes_its_writes(
    settings: Settings, members: MongoSet, tmp_path: Path, rng: Random, full_size: bool, record_property: Record
) -> None:
    on_set = settings.model_copy(update={"mongo_url": members.url})
    # Indexes are made on all members, which takes a busy machine longer than an operation may.
    async with opened(on_set.model_copy(update={"mongo_timeout": 60.0})) as world:
        posts, actions = await likes_and_comments(world, 4_800 if full_size else 500, rng)
        progress = Progress()

        async def kill_primary() -> None:
            await progress.wait_for(rng.randrange(len(actions) // 10, len(actions) // 2))
            primary = await members.primary()
            assert primary is not None
            members.kill(primary)
            await eventually(members.primary, seconds=PATIENCE)
            members.start(primary)

        with stack_on(on_set, tmp_path) as stack:
            await stack.workers()
            async with writers(on_set) as writing:
                gap, *_ = await asyncio.gather(
                    longest_gap(progress, len(actions)), carry_out(writing, actions, progress), kill_primary()
                )
            await members.wait_until_ready()
            await audit(world, has_files=False)
        stored, expected = await stored_outcomes(world), await expected_outcomes(world, actions, posts)
        record_property("acknowledged", len(progress.acknowledged))
        record_property("retries", progress.retries)
        record_property("gap_seconds", f"{gap:.1f}")
        record_property("lost", count_lost(stored, expected))
        record_property("doubled", count_doubled(stored, expected))
        assert stored == expected
        assert gap < MAX_GAP


async def test_what_a_query_shows_before_the_majority_has_it_can_be_liked_and_commented_on(
    settings: Settings, members: MongoSet
) -> None:
    on_set = settings.model_copy(update={"mongo_url": members.url, "mongo_timeout": 60.0})
    async with opened(on_set) as world:
        author, viewer = await world.users(2)
        post = await world.post(author)
        comment = await world.comment(post, author)
        targets, rows = world.sources.targets, []
        for name, record in (("posts", post), ("comments", comment)):
            row = await world.sources.database[name].find_one_and_delete({"_id": record.id})
            assert row is not None
            rows.append((name, row))
        primary = await members.primary()
        others = [name for name in replica_set.PORTS if name != primary]
        try:
            for name in others:
                members.signal(name, signal.SIGSTOP)
            for name, row in rows:
                await world.sources.database[name].with_options(write_concern=WriteConcern(1)).insert_one(row)
            assert await targets.post(post.id, viewer.id, with_comments=True) is not None
            found = await targets.comment(comment.id, viewer.id)
            assert found is not None
            assert found.is_visible
        finally:
            for name in others:
                members.signal(name, signal.SIGCONT)


async def test_a_killed_valkey_master_loses_nothing_and_all_is_correct_soon_after(
    settings: Settings, cluster: ValkeyCluster, tmp_path: Path, rng: Random, full_size: bool, record_property: Record
) -> None:
    on_cluster = settings.model_copy(update={"redis_url": cluster.url})
    size = 2_000 if full_size else 200
    async with opened(on_cluster) as world:
        users = await world.users(size // 40 + 5)
        await world.open_feeds(*users)
        posts = [await world.post(user) for user in users]
        actions, progress = random_actions(rng, users, posts, size), Progress()
        before, after = actions[: size * 9 // 10], actions[size * 9 // 10 :]

        async def kill_master() -> float:
            await progress.wait_for(rng.randrange(1, len(before) // 2))
            worker = rng.choice(("counters", "feed", "notifications"))
            key = stream_key(settings.key_prefix, worker)
            master = await cluster.master_of(key)
            cluster.kill(master)
            killed = time.monotonic()

            async def is_replaced() -> bool:
                return await cluster.master_of(key) != master

            await eventually(is_replaced, seconds=PATIENCE)
            replaced = time.monotonic() - killed
            cluster.start(master)
            return replaced

        async def is_correct() -> bool:
            return await stored_outcomes(world) == await expected_outcomes(world, actions, posts)

        with stack_on(on_cluster, tmp_path) as stack:
            api, workers = await start_all(stack)
            async with (
                writers(on_cluster) as writing,
                subscriber(world, users[0], stack.url) as subscribed,
                explained(world, subscribed, api, workers),
            ):
                replaced, _ = await asyncio.gather(kill_master(), carry_out(writing, before, progress))
                returned = time.monotonic()
                await carry_out(writing, after, progress)
                await eventually(is_correct, seconds=PATIENCE, every=0.5)
                correct = time.monotonic() - returned
                await audit(world, has_files=False)
                await eventually(lambda: subscribed.has_all(world), seconds=PATIENCE)
            stored, expected = await stored_outcomes(world), await expected_outcomes(world, actions, posts)
        record_property("acknowledged", len(progress.acknowledged))
        record_property("lost", count_lost(stored, expected))
        record_property("doubled", count_doubled(stored, expected))
        record_property("replaced_after_seconds", f"{replaced:.1f}")
        record_property("correct_after_seconds", f"{correct:.1f}")
        await cluster.wait_until_ready()


@pytest.mark.usefixtures("patient_caches")
async def test_a_replica_that_takes_over_without_the_last_invalidation_shows_nothing_old(
    cluster: ValkeyCluster,
) -> None:
    truth = Words(a="old")
    async with aclosing(WordCache(cluster.url, "test:")) as process, following(process.redis_servers):

        async def is_cached() -> bool:
            before = len(truth.asked)
            assert await process.read(truth, "a") == [truth.words["a"]]
            return len(truth.asked) == before

        await eventually(is_cached)
        key = f"{process.servers.prefix}word:a"
        master = await cluster.master_of(key)
        replica = valkey_cluster.replica_of(master)
        async with Redis(port=cluster.port_of(master)) as redis:
            assert await redis.wait(1, 10_000) == 1, "the value is at the replica"
            cluster.signal(replica, signal.SIGSTOP)
            await redis.client_kill_filter(_type="replica")
        truth.words["a"] = "new"
        assert await process.cache.invalidate(["a"]), "only the master knows it"
        cluster.kill(master)
        cluster.signal(replica, signal.SIGCONT)

        async def has_taken_over() -> bool:
            return await cluster.master_of(key) == replica

        await eventually(has_taken_over, seconds=PATIENCE)
        async with Redis(port=cluster.port_of(replica)) as redis:
            assert b"old" in (await redis.get(key) or b"")
        await eventually(is_cached, seconds=PATIENCE)
