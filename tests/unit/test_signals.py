"""An event that wakes all waiters and keeps nothing of cancelled ones."""

import asyncio

from datasources.concurrency.signals import Signal


async def test_set_wakes_all_waiters_even_if_it_is_cleared_at_once() -> None:
    signal = Signal()
    waiting = [asyncio.create_task(signal.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    signal.set()
    signal.clear()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    assert not signal.is_set()


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    signal = Signal()
    waiting = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert signal._waiters == ()
    signal.set()
    await signal.wait()
