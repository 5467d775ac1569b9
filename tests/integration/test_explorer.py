"""The explorer: one process of all makes snapshots, whatever happens to the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from datasources.mongo.leases import Lease
from tests.support.factories import World, now
from tests.support.waiting import eventually
from workers.exploring import explorer
from workers.exploring.explorer import EXPLORER, Explorer
from workers.exploring.recompute import recompute
from workers.monitoring.observations import observe_explore


@contextlib.asynccontextmanager
async def exploring(world: World, interval: float) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    running = asyncio.create_task(Explorer(world.sources, interval).run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await running


async def made_at_least(world: World, number: int) -> None:
    async def enough() -> bool:
        return await snapshots(world) >= number

    await eventually(enough, seconds=60)


async def snapshots(world: World) -> int:
    return await world.sources.database["explore_snapshots"].count_documents({})


async def test_snapshots_are_made_when_they_are_due_and_the_lease_is_given_back(own: World) -> None:
    assert (await observe_explore(own.sources, now()))[0].samples == []
    async with exploring(own, 0.05):
        await made_at_least(own, 3)
    made = await snapshots(own)
    assert await own.sources.database["leases"].count_documents({"_id": EXPLORER}) == 0
    async with exploring(own, 3600):
        await asyncio.sleep(0.2)
    assert await snapshots(own) == made
    (age,) = (await observe_explore(own.sources, now() + timedelta(minutes=5)))[0].samples
    assert 300 <= age.value < 400


async def test_two_processes_make_one_snapshot(own: World) -> None:
    async with exploring(own, 3600), exploring(own, 3600), exploring(own, 3600):
        await made_at_least(own, 1)
        await asyncio.sleep(0.2)
    assert await snapshots(own) == 1


async def test_another_process_goes_on_when_the_lease_of_a_dead_one_ends(own: World) -> None:
    dead = Lease(own.sources.database, EXPLORER, "dead", timedelta(seconds=1.0))
    assert await dead.take()
    async with exploring(own, 0.05):
        await asyncio.sleep(0.2)
        assert await snapshots(own) == 0
        await made_at_least(own, 1)


async def test_one_that_fails_or_takes_too_long_is_tried_again(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def flaky(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("a bug")
        if calls == 2:
            await asyncio.sleep(60)
        return await recompute(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(explorer, "recompute", flaky)
    monkeypatch.setattr(explorer, "RECOMPUTE_SECONDS", 0.5)
    async with exploring(own, 0.05):
        await made_at_least(own, 1)
    assert calls >= 3
