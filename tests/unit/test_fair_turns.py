"""Turns at a scarce resource: the caller that asked for it least goes first."""

import asyncio

import pytest

from datasources.concurrency.fair_turns import FairTurns, NoTurnError
from tests.support.waiting import eventually


async def spend(turns: FairTurns, *keys: str, gate: asyncio.Event | None = None, right: bool = False) -> None:
    turn = await turns.begin(keys)
    try:
        await (gate.wait() if gate is not None else asyncio.sleep(0))
    finally:
        turns.end(turn, uncount=right)


async def test_no_more_than_the_limit_run_at_once() -> None:
    turns, running, highest = FairTurns(2, 100), 0, 0

    async def work(number: int) -> None:
        nonlocal running, highest
        turn = await turns.begin([f"key {number}"])
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0)
        running -= 1
        turns.end(turn)

    await asyncio.gather(*(work(number) for number in range(50)))
    assert highest == 2


async def test_callers_that_asked_for_less_go_first_and_then_those_that_waited_longer() -> None:
    turns, gate, order = FairTurns(1, 100), asyncio.Event(), []

    async def ask(name: str, *keys: str) -> None:
        turn = await turns.begin(keys)
        order.append(name)
        turns.end(turn)

    first = asyncio.create_task(spend(turns, "greedy", gate=gate))
    await asyncio.sleep(0)
    asked = [asyncio.create_task(ask("greedy", "ana", "greedy"))]
    asked += [asyncio.create_task(ask(name, name, f"address of {name}")) for name in ("ben", "cleo")]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *asked)
    assert order == ["ben", "cleo", "greedy"]


async def test_a_right_password_gives_no_advantage() -> None:
    turns, gate, order = FairTurns(1, 100), asyncio.Event(), []
    for _ in range(20):
        await spend(turns, "owner", right=True)
    await spend(turns, "guesser")

    async def ask(name: str) -> None:
        turn = await turns.begin([name])
        order.append(name)
        turns.end(turn)

    first = asyncio.create_task(spend(turns, "somebody", gate=gate))
    await asyncio.sleep(0)
    asked = [asyncio.create_task(ask(name)) for name in ("guesser", "owner")]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *asked)
    assert order == ["owner", "guesser"]


async def test_when_too_many_wait_one_of_those_that_asked_for_most_is_refused() -> None:
    turns, gate = FairTurns(1, 5), asyncio.Event()
    crowd = [asyncio.create_task(spend(turns, f"account {n}", "one address", gate=gate)) for n in range(6)]
    await asyncio.sleep(0)
    owner = asyncio.create_task(spend(turns, "owner", "another address", gate=gate))
    await eventually(lambda: asyncio.sleep(0, any(task.done() for task in crowd)))
    gate.set()
    await owner
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    assert [type(end) for end in ends].count(NoTurnError) == 1


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    turns, gate = FairTurns(1, 5), asyncio.Event()
    first = asyncio.create_task(spend(turns, "first", gate=gate))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(spend(turns, "second")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting[:2]:
        task.cancel()
    gate.set()
    waiting[2].cancel()  # called in this very moment
    ends = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [type(end) for end in ends[1:]] == [asyncio.CancelledError] * 3
    async with asyncio.timeout(20):
        await spend(turns, "last")


@pytest.mark.parametrize("keys", [(), ("one",)])
async def test_a_turn_needs_no_keys(keys: tuple[str, ...]) -> None:
    await spend(FairTurns(1, 0), *keys)
