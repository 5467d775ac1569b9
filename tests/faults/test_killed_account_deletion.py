"""Workers killed while they clean up after a deleted account: whichever write they die before, nothing stays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random

import pytest

from config import Settings
from domain.limits import UPLOAD_LATENESS
from domain.records.users import UserState
from tests.support.account_references import account_references, lasting_keys, stored_objects
from tests.support.auditing import audit, count_pending
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now, opened, with_own_buckets
from tests.support.full_account import FullAccount, create_full_account, remove_final_check_delay
from tests.support.stack import Stack
from tests.support.waiting import eventually
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk

MAX_WRITES = 1_000  # more than a deletion takes
LONGEST_LIFE = 1.5  # seconds


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[World]:
    """A world with buckets of its own."""
    async with opened(with_own_buckets(settings)) as world:
        yield world


@pytest.fixture
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    remove_final_check_delay(monkeypatch)


async def _expire_addresses(world: World, account: FullAccount) -> None:
    """Ends the addresses for files, as time does. The final check and the second clean-up of failed uploads follow."""
    past = {"expires_at": now() - UPLOAD_LATENESS - timedelta(seconds=1)}
    await world.sources.database["uploads"].update_many({"owner_id": account.ana.id}, {"$set": past})


async def _drain_until_write(world: World, before: int) -> bool:
    """Runs pending jobs up to a write. Returns whether they died there.

    A death in a group of writes reaches the others as a cancellation.
    """
    died = True
    with contextlib.suppress(asyncio.CancelledError):
        died = await dies_before_write(world.drain, before)
    return died


@pytest.mark.usefixtures("_no_delay")
async def test_nothing_is_left_of_an_account_whichever_write_the_worker_dies_before(
    own: World, rng: Random, *, full_size: bool, record_property: Callable[[str, object], None]
) -> None:
    """All workers of the process die together, and new ones take over. Each step deletes a new account."""
    step = 4 if full_size else 40
    accounts = 0
    for before in range(rng.randrange(step), MAX_WRITES, step):
        account = await create_full_account(own)
        await own.sources.users.delete(account.ana.id, now())
        died = await _drain_until_write(own, before)
        findings = (await verify(Walk(sources=own.sources))).findings
        assert findings == [], before  # pending jobs are no finding
        await own.drain()
        await _expire_addresses(own, account)
        await own.drain()
        left = await account_references(own, account.ana.id)
        assert set(left) <= {"users", "interests"}, (before, left)
        assert await stored_objects(own, account.uploads) == [], before
        assert await lasting_keys(own, account.ana.id) == [], before
        assert (await own.stored_user(account.ana.id)).state is UserState.DELETED
        accounts += 1
        if not died:
            break
    record_property("accounts", accounts)
    record_property("writes", before)
    await audit(own, has_files=False)


async def test_worker_processes_killed_again_and_again_leave_nothing_of_the_account(
    world: World, stack: Stack, rng: Random, *, full_size: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await create_full_account(world)
    await world.sources.users.delete(account.ana.id, now())
    for _ in range(10 if full_size else 2):
        workers = await stack.workers()
        await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
        workers.kill()
    await stack.workers()

    async def waits_for_the_final_check() -> bool:
        return await count_pending(world, limit=2) == {"user": 1}

    await eventually(waits_for_the_final_check, seconds=60, every=0.2)
    remove_final_check_delay(monkeypatch)
    await _expire_addresses(world, account)
    await world.drain()
    assert set(await account_references(world, account.ana.id)) <= {"users", "interests"}
    assert await stored_objects(world, account.uploads) == []
    await audit(world)
