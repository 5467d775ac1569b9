"""Admission: how much runs at once, which requests wait, and which are refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from resolvers.transport import admission
from resolvers.transport.admission import OVERHEAD, RATE, WAITING_MAX, Admission, Busy, Clients, Lane, lend_place


class Stage:
    """Operations in one lane, which run until `finish` ends them."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.running: list[str] = []
        self.begun: list[str] = []
        self.highest_cost = 0.0
        self._cost = 0.0
        self._gates: dict[str, asyncio.Event] = {}

    async def start(self, client: str, cost: float = 10, *, patient: bool = False) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(client, cost, patient=patient))
        await run_ready_tasks()
        return task

    def finish(self, client: str) -> None:
        """Ends one operation of the client's that runs."""
        self._gates.setdefault(client, asyncio.Event()).set()

    async def drain(self) -> None:
        while self.running:
            self.finish(self.running[0])
            await run_ready_tasks()

    async def _run(self, client: str, cost: float, *, patient: bool) -> None:
        async with self.lane.admitted(client, cost, patient=patient):
            self.running.append(client)
            self.begun.append(client)
            self._cost += cost
            self.highest_cost = max(self.highest_cost, self._cost)
            try:
                gate = self._gates[client] = asyncio.Event()
                await gate.wait()
            finally:
                self._cost -= cost
                self.running.remove(client)


async def run_ready_tasks() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def ended(*tasks: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_concurrent_requests_cost_no_more_than_the_lane_takes() -> None:
    stage = Stage(Lane(100, 60))
    tasks = [await stage.start(f"client {number}", 30) for number in range(10)]
    assert len(stage.running) == 3
    await stage.drain()
    await asyncio.gather(*tasks)
    assert stage.highest_cost == 90
    assert len(stage.begun) == 10


async def test_a_request_that_costs_more_than_the_lane_takes_runs_alone() -> None:
    stage = Stage(Lane(100, 60))
    tasks = [await stage.start("small", 10), await stage.start("huge", 1_000), await stage.start("next", 10)]
    assert stage.running == ["small"]
    stage.finish("small")
    await run_ready_tasks()
    assert stage.running == ["huge"]
    stage.finish("huge")
    await run_ready_tasks()
    assert stage.running == ["next"]
    await stage.drain()
    await asyncio.gather(*tasks)


async def test_a_new_client_waits_behind_one_request_of_another_client_not_behind_all() -> None:
    stage = Stage(Lane(10, 60))
    tasks = [await stage.start("greedy") for _ in range(20)]
    tasks.append(await stage.start("newcomer"))
    await stage.drain()
    await asyncio.gather(*tasks)
    assert stage.begun.index("newcomer") <= 2


async def test_a_client_that_asked_for_much_is_not_starved_by_new_clients() -> None:
    stage = Stage(Lane(10, 60))
    tasks = [await stage.start("greedy") for _ in range(5)]
    for number in range(40):
        tasks.append(await stage.start(f"newcomer {number}"))
        stage.finish(stage.running[0])
        await run_ready_tasks()
    assert stage.begun.count("greedy") == 5
    await stage.drain()
    await asyncio.gather(*tasks)


async def test_a_lane_that_is_never_empty_remembers_few_clients() -> None:
    stage = Stage(Lane(40, 60))
    tasks = [await stage.start("first")]
    for number in range(3 * WAITING_MAX):
        tasks.append(asyncio.create_task(stage._run(f"client {number}", 10, patient=False)))
        await asyncio.sleep(0)
        stage.finish(stage.running[0])
        await asyncio.sleep(0)
    assert len(stage.lane._ends) <= WAITING_MAX
    assert len(stage.lane._operations) <= 4
    await stage.drain()
    await asyncio.gather(*tasks)
    assert (stage.lane._ends, stage.lane._operations) == ({}, {})


async def test_a_request_that_would_wait_too_long_is_refused_at_once_with_a_time_to_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "RATE", 50_000.0)
    stage = Stage(Lane(100_000, 2.0))
    tasks = [await stage.start("greedy", 20_000) for _ in range(50)]
    refused = [task for task in tasks if task.done()]
    waiting = len(tasks) - len(refused) - len(stage.running)
    assert 4 <= waiting <= 6  # two seconds at 50,000 a second
    error = refused[0].exception()
    assert isinstance(error, Busy)
    assert error.retry_after_ms is not None
    assert 1_000 <= error.retry_after_ms <= 10_000
    newcomer = await stage.start("newcomer", 20_000)
    assert not newcomer.done()
    async with ended(newcomer, *(task for task in tasks if not task.done())):
        pass
    assert stage.lane._running == 0


async def test_a_patient_request_waits_however_long_it_takes() -> None:
    stage = Stage(Lane(10, 0.0))
    tasks = [await stage.start("greedy", patient=True) for _ in range(20)]
    assert not any(task.done() for task in tasks)
    await stage.drain()
    await asyncio.gather(*tasks)


async def test_a_request_that_waited_too_long_is_refused() -> None:
    stage = Stage(Lane(10, 0.01))
    running, waiting = await stage.start("first"), await stage.start("second")
    with pytest.raises(Busy):
        await asyncio.wait_for(waiting, 5)
    stage.finish("first")
    await running
    assert (stage.lane._running, stage.lane._waiting, stage.lane._ends) == (0, [], {})


async def test_the_number_of_waiting_requests_is_bounded() -> None:
    stage = Stage(Lane(1, 60))
    tasks = [asyncio.create_task(stage._run(f"client {n}", 1, patient=False)) for n in range(WAITING_MAX + 10)]
    await run_ready_tasks()
    assert sum(task.done() for task in tasks) == 9  # one runs
    async with ended(*tasks):
        pass


async def test_a_cancelled_request_gives_its_place_back_whenever_it_is_cancelled() -> None:
    stage = Stage(Lane(10, 60))
    first = await stage.start("first")
    waiting = [await stage.start(f"client {number}") for number in range(4)]
    waiting[1].cancel()
    stage.finish("first")
    await first
    waiting[0].cancel()  # it has been called, and has not begun
    await run_ready_tasks()
    assert stage.running == ["client 2"]
    await stage.drain()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (stage.lane._running, stage.lane._waiting) == (0, [])


async def test_a_request_that_waits_for_something_else_lends_its_place() -> None:
    stage, came, order = Stage(Lane(10, 60)), asyncio.Event(), []

    async def lend() -> None:
        async with stage.lane.admitted("lender", 10):
            async with lend_place(), lend_place():
                await came.wait()
            order.append("lender")

    lending = asyncio.create_task(lend())
    await run_ready_tasks()
    other = await stage.start("other")
    assert stage.running == ["other"]
    came.set()
    await run_ready_tasks()
    assert order == []
    stage.finish("other")
    await asyncio.gather(lending, other)
    assert order == ["lender"]
    assert (stage.lane._running, stage.lane._waiting) == (0, [])


@pytest.mark.parametrize("is_awaited", [True, False])
async def test_a_lent_place_is_given_back_once_whatever_happens(is_awaited: bool) -> None:
    stage, came = Stage(Lane(10, 60)), asyncio.Event()

    async def lend() -> None:
        async with stage.lane.admitted("lender", 10), lend_place():
            await came.wait()

    lending = asyncio.create_task(lend())
    await run_ready_tasks()
    other = await stage.start("other")
    if is_awaited:  # it waits for a place again
        came.set()
        await run_ready_tasks()
    lending.cancel()
    stage.finish("other")
    await asyncio.gather(lending, other, return_exceptions=True)
    assert (stage.lane._running, stage.lane._waiting) == (0, [])


async def test_a_place_that_nobody_has_cannot_be_lent() -> None:
    async with lend_place():
        pass


async def test_the_rate_is_measured_while_requests_wait() -> None:
    lane = Lane(1_000, 2.0)

    async def work() -> None:
        async with lane.admitted("client", 1_000, patient=True):
            await asyncio.sleep(0.05)

    await asyncio.gather(*(work() for _ in range(5)))
    assert lane._done / lane._seconds < 0.98 * RATE


async def test_cheap_requests_pass_while_costly_ones_wait() -> None:
    both = Admission(cost_at_once=1_000 + 2 * OVERHEAD, longest_wait=60)
    order = []

    async def ask(name: str, cost: int) -> None:
        async with both.admitted("client", cost):
            await asyncio.sleep(0)
            order.append(name)

    gate = asyncio.Event()

    async def hold() -> None:
        async with both.admitted("another", 20_000):
            await gate.wait()

    holding = asyncio.create_task(hold())
    await run_ready_tasks()
    costly = asyncio.create_task(ask("costly", 5_000))
    await run_ready_tasks()
    await ask("cheap", 3)
    gate.set()
    await asyncio.gather(holding, costly)
    assert order == ["cheap", "costly"]


def test_a_request_counts_to_the_account_once_it_is_known_and_else_to_the_address() -> None:
    clients = Clients()
    assert clients.of(None, "192.0.2.1") == "192.0.2.1"
    assert clients.of("made up", "192.0.2.1") == "192.0.2.1"
    clients.remember("token", "ana")
    assert clients.of("token", "192.0.2.1") == "ana"
