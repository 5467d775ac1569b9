"""PyMongo's pool lock outlives cancelled operations: the mechanism itself, without a server."""

import asyncio

import pymongo.lock
import pytest

from datasources.pool_lock import DriverChanged, mend_pool_lock, same_task_wait_for


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymongo.lock.wait_for", asyncio.wait_for)  # and so that it is put back afterwards
    mend_pool_lock()


async def interrupted_twice() -> bool:
    """A deadline and then a cancellation hit who waits for a condition; whether the lock is free afterwards."""
    lock = pymongo.lock._async_create_lock()
    condition = pymongo.lock._async_create_condition(lock)

    async def checkout() -> None:
        async with condition:
            await pymongo.lock._async_cond_wait(condition, 0.02)

    async def neighbour() -> None:
        async with lock:
            await asyncio.sleep(0.04)  # the deadline passes; who waits now queues for the lock
            waiting.cancel()  # and lets go of the lock in the same turn

    waiting = asyncio.create_task(checkout())
    await asyncio.sleep(0.01)
    await asyncio.gather(waiting, neighbour(), return_exceptions=True)
    await asyncio.sleep(0.02)
    return not lock.locked()


@pytest.mark.usefixtures("mended")
async def test_lock_is_free_after_an_operation_was_interrupted_twice() -> None:
    assert await interrupted_twice()


@pytest.mark.usefixtures("mended")
async def test_nobody_holds_the_lock_for_a_turn_of_the_loop_when_the_deadline_is_over() -> None:
    lock = pymongo.lock._async_create_lock()
    condition = pymongo.lock._async_create_condition(lock)
    seen_held = []

    async def checkout() -> None:
        async with condition:
            assert not await pymongo.lock._async_cond_wait(condition, -1)

    waiting = asyncio.create_task(checkout())
    while not waiting.done():
        seen_held.append(lock.locked())
        await asyncio.sleep(0)
    assert not any(seen_held)


async def test_wait_for_ends_with_its_deadline_and_passes_cancellation_on() -> None:
    with pytest.raises(TimeoutError):
        await same_task_wait_for(asyncio.Event().wait(), 0.001)
    waiting = asyncio.create_task(same_task_wait_for(asyncio.Event().wait(), None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_driver_that_waits_in_another_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pymongo.lock, "wait_for")
    with pytest.raises(DriverChanged, match="PyMongo"):
        mend_pool_lock()
