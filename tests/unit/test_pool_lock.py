"""PyMongo's pool lock survives cancelled operations: the mechanism itself, without a server."""

import asyncio
from typing import Any

import pymongo.asynchronous.pool
import pymongo.lock
import pytest
from pymongo.network_layer import async_sendall

from datasources.mongo.pool_lock import DriverChanged, patch_pool_lock, same_task_wait_for


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymongo.lock.wait_for", asyncio.wait_for)  # monkeypatch restores it afterwards
    monkeypatch.setattr("pymongo.asynchronous.pool.async_sendall", async_sendall)
    patch_pool_lock()


async def is_free_after_two_interruptions() -> bool:
    """Whether the lock is free after a deadline and then a cancellation hit a waiter for a condition."""
    lock = pymongo.lock._async_create_lock()
    condition = pymongo.lock._async_create_condition(lock)

    async def checkout() -> None:
        async with condition:
            await pymongo.lock._async_cond_wait(condition, 0.02)

    async def neighbour() -> None:
        async with lock:
            await asyncio.sleep(0.04)  # the deadline passes, and the waiter queues for the lock
            waiting.cancel()  # and releases the lock in the same turn

    waiting = asyncio.create_task(checkout())
    await asyncio.sleep(0.01)
    await asyncio.gather(waiting, neighbour(), return_exceptions=True)
    await asyncio.sleep(0.02)
    return not lock.locked()


@pytest.mark.usefixtures("patched")
async def test_the_lock_is_free_after_an_operation_was_interrupted_twice() -> None:
    assert await is_free_after_two_interruptions()


@pytest.mark.usefixtures("patched")
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
        patch_pool_lock()


class Wire:
    """A connection that takes a message once `taken` is set."""

    gettimeout = 5.0

    def __init__(self) -> None:
        self.taken = asyncio.get_running_loop().create_future()

    async def write(self, _message: bytes) -> None:
        await self.taken


async def send(wire: Wire) -> None:
    """Sends as the driver does."""
    sendall: Any = vars(pymongo.asynchronous.pool)["async_sendall"]
    await sendall(wire, b"")


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_just_after_a_message_was_sent_is_not_lost(turns: int) -> None:
    wire = Wire()
    operating = asyncio.create_task(send(wire))
    for _ in range(3):
        await asyncio.sleep(0)
    wire.taken.set_result(None)
    for _ in range(turns):  # in which the news goes from task to task
        await asyncio.sleep(0)
    is_cancelled = operating.cancel()
    await asyncio.gather(operating, return_exceptions=True)
    assert operating.cancelled() is is_cancelled


@pytest.mark.usefixtures("patched")
async def test_a_message_that_is_not_taken_in_time_is_a_timeout() -> None:
    wire = Wire()
    wire.gettimeout = 0.01
    with pytest.raises(TimeoutError, match="timed out"):
        await send(wire)
