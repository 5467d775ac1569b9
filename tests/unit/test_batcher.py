"""Group commit: concurrent calls share the work, and each gets its own result or error."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from pymongo import _csot
from pymongo.errors import ConnectionFailure

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.mongo.batched_operations import MongoBatcher


class Work:
    """Work that records its batches, each of which waits for `go`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()

    async def double(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        await self.go.wait()
        return [ValueError(f"{item}") if item < 0 else item * 2 for item in items]


async def test_a_single_call_runs_at_once() -> None:
    works = Work()
    works.go.set()
    assert await Batcher(works.double, 10).submit(4) == 8
    assert works.batches == [[4]]


async def test_calls_that_come_during_another_run_together_after_it() -> None:
    works = Work()
    batcher = Batcher(works.double, 3)
    calls = [asyncio.create_task(batcher.submit(1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls += [asyncio.create_task(batcher.submit(number)) for number in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    works.go.set()
    assert await asyncio.gather(*calls) == [2, 4, 6, 8, 10]
    assert works.batches == [[1], [2, 3, 4], [5]]


async def test_each_caller_gets_its_own_error() -> None:
    works = Work()
    works.go.set()
    batcher = Batcher(works.double, 10)
    results = await asyncio.gather(*(batcher.submit(number) for number in (1, -2, 3)), return_exceptions=True)
    assert [results[0], str(results[1]), results[2]] == [2, "-2", 6]


async def test_an_error_of_the_work_goes_to_all_and_later_calls_run_again() -> None:
    failing = True

    async def work(items: Sequence[int]) -> Sequence[int]:
        if failing:
            raise ConnectionError("gone")
        return items

    batcher = Batcher(work, 10)
    results = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError]
    failing = False
    assert await batcher.submit(3) == 3


async def test_a_cancelled_caller_leaves_the_work_to_the_others() -> None:
    works = Work()
    batcher = Batcher(works.double, 10)
    first, second = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    works.go.set()
    assert await second == 4
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_waiting_for_a_turn_counts_towards_the_timeout() -> None:
    works = Work()
    batcher = Batcher(works.double, 1)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    with pytest.raises(BatchTimeout):
        await batcher.submit(2, 0.01)
    works.go.set()
    assert await first == 2


async def test_an_outage_fails_at_once_the_calls_that_wait_for_the_next_batch() -> None:
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
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionFailure] * 3
    assert asked == [[1]]


async def test_a_batch_may_take_as_long_as_its_most_patient_caller() -> None:
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


async def test_a_result_that_comes_together_with_the_deadline_is_not_late() -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        time.sleep(0.05)  # past the deadline, which the loop notices together with the result
        await asyncio.sleep(0)
        return items

    batcher: Batcher[int, int] = Batcher(work, 10)
    assert await batcher.submit(1, 0.02) == 1
