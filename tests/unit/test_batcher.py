"""Group commit: simultaneous calls share the work, and each gets its own end."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from pymongo import _csot
from pymongo.errors import ConnectionFailure

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.mongo.batched import MongoBatcher


class Works:
    """Remembers its groups; every one waits until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = asyncio.Event()

    async def double(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        await self.go.wait()
        return [ValueError(f"{item}") if item < 0 else item * 2 for item in items]


async def test_lone_call_goes_at_once() -> None:
    works = Works()
    works.go.set()
    assert await Batcher(works.double, 10).submit(4) == 8
    assert works.groups == [[4]]


async def test_calls_that_come_while_one_is_under_way_go_together() -> None:
    works = Works()
    batcher = Batcher(works.double, 3)
    calls = [asyncio.create_task(batcher.submit(1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls += [asyncio.create_task(batcher.submit(number)) for number in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    works.go.set()
    assert await asyncio.gather(*calls) == [2, 4, 6, 8, 10]
    assert works.groups == [[1], [2, 3, 4], [5]]


async def test_each_caller_gets_its_own_error() -> None:
    works = Works()
    works.go.set()
    batcher = Batcher(works.double, 10)
    ends = await asyncio.gather(*(batcher.submit(number) for number in (1, -2, 3)), return_exceptions=True)
    assert [ends[0], str(ends[1]), ends[2]] == [2, "-2", 6]


async def test_what_the_work_raises_goes_to_all_and_later_calls_work_again() -> None:
    failing = True

    async def work(items: Sequence[int]) -> Sequence[int]:
        if failing:
            raise ConnectionError("gone")
        return items

    batcher = Batcher(work, 10)
    ends = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert [type(end) for end in ends] == [ConnectionError, ConnectionError]
    failing = False
    assert await batcher.submit(3) == 3


async def test_cancelled_caller_leaves_the_work_to_the_others() -> None:
    works = Works()
    batcher = Batcher(works.double, 10)
    one, other = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    one.cancel()
    works.go.set()
    assert await other == 4
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_waiting_for_ones_turn_is_part_of_ones_time() -> None:
    works = Works()
    batcher = Batcher(works.double, 1)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    with pytest.raises(BatchTimeout):
        await batcher.submit(2, 0.01)
    works.go.set()
    assert await first == 2


async def test_outage_is_told_at_once_to_those_who_wait_for_the_next_call() -> None:
    asked: list[list[int]] = []
    go = asyncio.Event()

    async def work(items: Sequence[int]) -> Sequence[int]:
        asked.append(list(items))
        await go.wait()
        raise ConnectionFailure("away")

    batcher = MongoBatcher(work, 10)
    calls = [asyncio.create_task(batcher.submit(1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls += [asyncio.create_task(batcher.submit(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    go.set()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [ConnectionFailure] * 3
    assert asked == [[1]]


async def test_what_asks_mongodb_for_others_has_the_time_that_the_last_of_them_has_left() -> None:
    limits: list[float | None] = []

    async def work(items: Sequence[int]) -> Sequence[int]:
        limits.append(_csot.remaining())
        return items

    batcher = MongoBatcher(work, 10)
    await asyncio.gather(batcher.submit(1, 2), batcher.submit(2, 5))
    assert limits[0] is not None
    assert 4 < limits[0] <= 5
    await batcher.submit(3)
    assert limits[1] is None


async def test_result_that_comes_in_the_moment_of_the_deadline_is_not_late() -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        time.sleep(0.05)  # past the deadline, which the loop hears of together with what follows
        await asyncio.sleep(0)
        return items

    batcher: Batcher[int, int] = Batcher(work, 10)
    assert await batcher.submit(1, 0.02) == 1
