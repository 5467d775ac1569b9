"""Loops that must never end are begun again when they do, and tasks end when they are cancelled."""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from datasources.concurrency import tasks
from datasources.concurrency.tasks import cancel_tasks, keep_running


class _Loop:
    """Ends in another way each time that it runs, then waits for ever."""

    def __init__(self) -> None:
        self.runs = 0
        self.waits = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        match self.runs:
            case 1:
                raise RuntimeError("broken")
            case 2:
                raise asyncio.CancelledError
            case 3:
                return
        self.waits.set()
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "RESTART_SECONDS", 0.0)


async def test_a_loop_begins_again_however_it_ended_and_each_end_is_logged() -> None:
    loop = _Loop()
    with capture_logs() as logs:
        running = asyncio.create_task(keep_running("test", loop.run))
        await asyncio.wait_for(loop.waits.wait(), 5)
    await cancel_tasks([running])
    assert loop.runs == 4
    assert [(entry["event"], entry["loop"], entry["log_level"]) for entry in logs] == [
        ("loop.broken", "test", "error")
    ] * 3
    assert [type(entry["exc_info"]) for entry in logs] == [RuntimeError, asyncio.CancelledError, type(None)]


async def test_a_cancelled_loop_ends_although_it_swallows_the_cancellation() -> None:
    runs = 0

    async def swallow() -> None:
        nonlocal runs
        runs += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    with capture_logs() as logs:
        running = asyncio.create_task(keep_running("test", swallow))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
    assert (runs, logs) == (1, [])


async def test_no_task_outlives_another_that_ends_it_although_it_swallows_cancellations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "CANCEL_SECONDS", 0.01)

    async def swallow(times: int) -> None:
        for _ in range(times):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    inner = asyncio.create_task(swallow(2))

    async def end_inner() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await cancel_tasks([inner])

    outer = asyncio.create_task(end_inner())
    await asyncio.sleep(0)
    await cancel_tasks([outer])
    ended = inner.cancelled(), outer.cancelled()
    await cancel_tasks([inner])  # also if it fails: else the event loop would wait for it for ever
    assert ended == (True, True)


async def test_a_task_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_SECONDS", 0.01)
    tries = 0

    async def refuse() -> None:
        nonlocal tries
        while tries <= tasks.CANCEL_TRIES:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                tries += 1

    refusing = asyncio.create_task(refuse())
    await asyncio.sleep(0)
    await cancel_tasks([refusing])
    assert (refusing.done(), tries) == (False, tasks.CANCEL_TRIES)
    refusing.cancel()
    await asyncio.wait_for(refusing, 5)
