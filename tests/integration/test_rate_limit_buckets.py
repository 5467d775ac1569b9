"""Buckets of rate limits: Redis and one process count alike, and as another implementation of GCRA does."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from throttled.asyncio import MemoryStore, RateLimiterType, Throttled, per_duration

from config import Settings
from datasources.rate_limits.buckets import Buckets
from datasources.rate_limits.local_buckets import LocalBuckets, Want
from datasources.rate_limits.redis_buckets import RedisBuckets, RedisDown
from datasources.redis.roles import RedisRoles, open_roles
from domain.rate_limits import Limit
from tests.support.waiting import eventually

SLOW = Limit(20, 20 * 3600.0)  # nothing comes back during a test
NOWHERE = "redis://127.0.0.1:1/0"


def want(key: str, number: int, limit: Limit = SLOW) -> Want:
    return Want(key, limit, number, number)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[RedisRoles]:
    roles = open_roles(settings)
    async with roles.following():
        yield roles
    await roles.aclose()


@pytest.fixture
def shared(redis: RedisRoles, settings: Settings) -> RedisBuckets:
    return RedisBuckets(redis.cache, settings.key_prefix)


@pytest.fixture
def alone() -> RedisBuckets:
    """Redis that is away."""
    roles = open_roles(Settings(environment="test", redis_url=NOWHERE))
    return RedisBuckets(roles.cache, "test:")


async def test_both_decide_as_throttled_py_does(shared: RedisBuckets, seed: int) -> None:
    """throttled-py keeps the same numbers in memory: what passes, what is left, and for how long to wait."""
    chance = random.Random(seed)
    oracle = Throttled(
        using=RateLimiterType.GCRA.value,
        quota=per_duration(timedelta(seconds=SLOW.seconds), SLOW.maximum, burst=SLOW.maximum),
        store=MemoryStore(),
    )
    here = LocalBuckets()
    for step in range(200):
        key, number = f"oracle:{step // 25}", chance.randint(1, 6)
        expected = await oracle.limit(key, cost=number)
        (answer,) = await shared.take([want(key, number)])
        (local,) = Buckets(shared, here)._take_here([want(key, number)])
        for each in (answer, local):
            assert each.is_short == expected.limited
            if expected.limited:
                assert SLOW.wait(each.backlog, number) == pytest.approx(expected.state.retry_after, abs=2)
            else:
                assert SLOW.available(each.backlog + 1e-3) in (expected.state.remaining, expected.state.remaining - 1)


async def test_several_buckets_are_taken_from_together_or_not_at_all(shared: RedisBuckets) -> None:
    assert [each.number for each in await shared.take([want("a", 5), want("b", 20)])] == [5, 20]
    refused = await shared.take([want("a", 5), want("b", 1)])
    assert [each.is_short for each in refused] == [False, True]
    assert [each.number for each in await shared.take([want("a", 15)])] == [15]


async def test_a_block_is_as_large_as_what_is_left(shared: RedisBuckets) -> None:
    (first,) = await shared.take([Want("block", SLOW, 1, 15)])
    (second,) = await shared.take([Want("block", SLOW, 1, 15)])
    assert (first.number, second.number) == (15, 5)


async def test_what_is_given_back_can_be_taken_again_and_not_twice(shared: RedisBuckets) -> None:
    await shared.take([want("back", 20)])
    await shared.give_back([want("back", -20), want("never taken", -5)])
    assert [each.number for each in await shared.take([want("back", 20), want("never taken", 20)])] == [20, 20]
    (refused,) = await shared.take([want("never taken", 1)])
    assert refused.is_short


async def test_a_bucket_restores_itself_and_its_key_leaves(shared: RedisBuckets, redis: RedisRoles) -> None:
    quick, key = Limit(10, 2.0), f"{shared._prefix}quick"
    assert [each.number for each in await shared.take([want("quick", 10, quick)])] == [10]
    assert await redis.cache.of(key).exists(key)

    async def is_full() -> bool:
        return await redis.cache.of(key).exists(key) == 0

    await eventually(is_full)
    assert [each.number for each in await shared.take([want("quick", 10, quick)])] == [10]


async def test_a_lowered_limit_holds_at_once(shared: RedisBuckets) -> None:
    await shared.take([want("lowered", 20, Limit(20, 72_000.0))])
    (refused,) = await shared.take([want("lowered", 1, Limit(2, 60.0))])
    assert refused.is_short
    assert refused.backlog <= 60


async def test_concurrent_requests_get_no_more_than_there_is(
    shared: RedisBuckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasources.rate_limits.redis_buckets.ANSWER_SECONDS", 10.0)
    processes = [Buckets(shared) for _ in range(3)]
    taken = await asyncio.gather(*(processes[n % 3].take([want("crowd", 1)]) for n in range(90)))
    assert sum(each.number for (each,) in taken) == SLOW.maximum


async def test_without_redis_a_process_counts_by_itself(alone: RedisBuckets) -> None:
    with pytest.raises(RedisDown):
        await alone.take([want("a", 1)])
    buckets = Buckets(alone)
    taken = [await buckets.take([want("a", 1)]) for _ in range(30)]
    assert sum(each.number for (each,) in taken) == SLOW.maximum
    await buckets.give_back([want("a", -5)])
    assert [each.number for each in await buckets.take([want("a", 5)])] == [5]


async def test_what_was_taken_counts_after_redis_has_lost_its_data(shared: RedisBuckets, redis: RedisRoles) -> None:
    buckets, key = Buckets(shared), f"{shared._prefix}a"
    await buckets.take([want("a", 20)])
    assert await redis.cache.of(key).delete(key) == 1
    (refused,) = await buckets.take([want("a", 1)])
    assert refused.is_short


async def test_a_refused_client_is_refused_again_without_asking(shared: RedisBuckets, alone: RedisBuckets) -> None:
    await shared.take([want("a", 20)])
    process = Buckets(shared)
    assert (await process.take([want("a", 1)]))[0].is_short
    process._redis = alone
    assert (await process.take([want("a", 1)]))[0].is_short


def test_the_buckets_of_a_process_are_bounded() -> None:
    here = LocalBuckets(limit=10)
    for number in range(30):
        here.take(f"key {number}", SLOW, 1)
    assert len(here) == 10
    assert here.backlog("key 29") > 0
