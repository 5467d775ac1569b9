"""Workers killed while they take away what a deleted account left: whatever write they die before, nothing stays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random

import pytest

from config import Settings
from domain.limits import UPLOAD_LATENESS
from domain.records.users import UserState
from tests.support.auditing import audit, count_pending
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now, opened, with_own_buckets
from tests.support.full_account import (
    FullAccount,
    account_references,
    create_full_account,
    lasting_keys,
    stored_objects,
)
from tests.support.stack import Stack
from tests.support.waiting import eventually
from workers.handlers import delete_account
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk

WRITES = 1_000  # more than it takes
LONGEST_LIFE = 1.5  # seconds


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[World]:
    """A world with buckets of its own."""
    async with opened(with_own_buckets(settings)) as world:
        yield world


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_account, "final_check_delay", lambda _settings: timedelta(0))


async def _addresses_end(world: World, life: FullAccount) -> None:
    """Ends the addresses for files, as time does before the last look; a failed upload is cleaned again after that."""
    past = {"expires_at": now() - UPLOAD_LATENESS - timedelta(seconds=1)}
    await world.sources.database["uploads"].update_many({"owner_id": life.ana.id}, {"$set": past})


async def _dies_draining(world: World, before: int) -> bool:
    """Pays all that is owed, until a write; a death in a group of writes reaches the others as a cancellation."""
    died = True
    with contextlib.suppress(asyncio.CancelledError):
        died = await dies_before_write(world.drain, before)
    return died


@pytest.mark.usefixtures("_at_once")
async def test_whatever_write_a_worker_dies_before_nothing_is_left_of_the_account(
    own: World, rng: Random, *, full_size: bool, record_property: Callable[[str, object], None]
) -> None:
    """Every worker of the process dies with it, and another one comes; each step, somebody else has lived."""
    step = 4 if full_size else 40
    lives = 0
    for before in range(rng.randrange(step), WRITES, step):
        life = await create_full_account(own)
        await own.sources.users.delete(life.ana.id, now())
        died = await _dies_draining(own, before)
        findings = (await verify(Walk(sources=own.sources))).findings
        assert findings == [], before  # what is owed still is no error
        await own.drain()
        await _addresses_end(own, life)
        await own.drain()
        left = await account_references(own, life.ana.id)
        assert set(left) <= {"users", "interests"}, (before, left)
        assert await stored_objects(own, life.uploads) == [], before
        assert await lasting_keys(own, life.ana.id) == [], before
        assert (await own.stored_user(life.ana.id)).state is UserState.DELETED
        lives += 1
        if not died:
            break
    record_property("lives", lives)
    record_property("writes", before)
    await audit(own, has_files=False)


async def test_worker_processes_killed_again_and_again_while_it_is_taken_away_leave_nothing(
    world: World, stack: Stack, rng: Random, *, full_size: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await create_full_account(world)
    await world.sources.users.delete(life.ana.id, now())
    for _ in range(10 if full_size else 2):
        workers = await stack.workers()
        await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
        workers.kill()
    await stack.workers()

    async def waits_for_the_final_check() -> bool:
        return await count_pending(world, most=2) == {"user": 1}

    await eventually(waits_for_the_final_check, seconds=60, every=0.2)
    monkeypatch.setattr(delete_account, "final_check_delay", lambda _settings: timedelta(0))
    await _addresses_end(world, life)
    await world.drain()
    assert set(await account_references(world, life.ana.id)) <= {"users", "interests"}
    assert await stored_objects(world, life.uploads) == []
    await audit(world)
