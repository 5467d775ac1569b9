"""PyMongo's pool lock survives cancelled operations: the mechanism itself, without a server."""

import asyncio
import struct
from typing import Any

import bson
import pymongo.asynchronous.pool
import pymongo.lock
import pytest
from pymongo import timeout
from pymongo.errors import ProtocolError, _OperationCancelled
from pymongo.network_layer import async_receive_message, async_sendall
from pymongo.pool_shared import _CancellationContext

from datasources.mongo import pool_lock
from datasources.mongo.pool_lock import DriverChanged, patch_pool_lock, same_task_wait_for

OP_MSG = 2013
PONG = struct.pack("<IB", 0, 0) + bson.encode({"ok": 1})


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymongo.lock.wait_for", asyncio.wait_for)  # monkeypatch restores it afterwards
    monkeypatch.setattr("pymongo.asynchronous.pool.async_sendall", async_sendall)
    monkeypatch.setattr("pymongo.asynchronous.pool.async_receive_message", async_receive_message)
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
        self.answer = asyncio.get_running_loop().create_future()  # what it receives: the bytes, and their kind
        self.cancel_context = _CancellationContext()

    @property
    def conn(self) -> "Wire":
        return self

    @property
    def get_conn(self) -> "Wire":
        return self

    async def write(self, _message: bytes) -> None:
        await self.taken

    async def read(self, _request_id: int, _max_message_size: int) -> tuple[bytes, int]:
        answer: tuple[bytes, int] = await self.answer
        return answer


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


async def receive(wire: Wire) -> Any:
    """Receives as the driver does."""
    receive_message: Any = vars(pymongo.asynchronous.pool)["async_receive_message"]
    return (await receive_message(wire, 1, 1_000)).unpack_response()


@pytest.mark.usefixtures("patched")
async def test_an_answer_is_received_by_the_operations_own_task() -> None:
    wire, tasks = Wire(), len(asyncio.all_tasks())
    operating = asyncio.create_task(receive(wire))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks + 1
    wire.answer.set_result((PONG, OP_MSG))
    assert await operating == [{"ok": 1}]
    wire.gettimeout = 0.0
    assert await receive(wire) == [{"ok": 1}], "what is there already is in time"


@pytest.mark.usefixtures("patched")
async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    wire = Wire()
    wire.gettimeout = 0.01
    with pytest.raises(TimeoutError, match="timed out"):
        await receive(wire)
    wire = Wire()
    with pytest.raises(TimeoutError, match="timed out"), timeout(0.01):  # the operation's comes before the wire's
        await receive(wire)


@pytest.mark.usefixtures("patched")
async def test_an_answer_of_an_unknown_kind_is_refused() -> None:
    wire = Wire()
    wire.answer.set_result((PONG, 1))
    with pytest.raises(ProtocolError, match="opcode 1"):
        await receive(wire)


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("when", ["before", "later"])
async def test_nobody_waits_on_a_connection_that_the_driver_has_given_up(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(pool_lock, "LOOK_SECONDS", 0.001)
    wire = Wire()
    if when == "before":
        wire.cancel_context.cancel()
    operating = asyncio.create_task(receive(wire))
    await asyncio.sleep(0.005)
    wire.cancel_context.cancel()
    with pytest.raises(_OperationCancelled):
        await operating


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_just_after_an_answer_has_come_is_not_lost(turns: int) -> None:
    wire = Wire()
    operating = asyncio.create_task(receive(wire))
    for _ in range(3):
        await asyncio.sleep(0)
    wire.answer.set_result((PONG, OP_MSG))
    for _ in range(turns):
        await asyncio.sleep(0)
    is_cancelled = operating.cancel()
    await asyncio.gather(operating, return_exceptions=True)
    assert operating.cancelled() is is_cancelled
