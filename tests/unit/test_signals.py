"""An event that wakes all who wait, and keeps nothing of those who gave up."""

import asyncio

from datasources.concurrency.signals import Signal


async def test_set_wakes_all_who_wait_and_clear_does_not_put_them_back() -> None:
    signal = Signal()
    waiting = [asyncio.create_task(signal.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    signal.set()
    signal.clear()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    assert not signal.is_set()


async def test_who_gives_up_is_forgotten() -> None:
    signal = Signal()
    waiting = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert signal._waiters == ()
    signal.set()
    await signal.wait()
