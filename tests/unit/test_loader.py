"""The loader of one operation finds each key once, with the others; a failure or an end is of those concerned."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from datasources.concurrency.loader import Loader


class Squares:
    """Finds squares, when it may; keeps the keys of each call."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.fails = False
        self.ended = 0
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def find(self, keys: Sequence[int]) -> list[int]:
        self.calls.append(list(keys))
        try:
            await self.may_go.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        if self.fails:
            raise ValueError(f"no squares of {keys}")
        return [key * key for key in keys]


@pytest.fixture
def squares() -> Squares:
    return Squares()


@pytest.fixture
def loader(squares: Squares) -> Loader[int, int]:
    return Loader(squares.find)


async def several_turns() -> None:
    """Lets everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_keys_asked_for_together_are_found_by_one_call(squares: Squares, loader: Loader[int, int]) -> None:
    async def one(key: int) -> int:
        return await loader.load(key)

    batch = loader.batch([3, 4, 3])
    assert isinstance(batch, asyncio.Future)
    answers: list[object] = list(await asyncio.gather(one(1), one(2), loader.load_many([4, 5]), batch, one(1)))
    assert answers == [1, 4, [16, 25], [9, 16, 9], 1]
    assert [sorted(keys) for keys in squares.calls] == [[1, 2, 3, 4, 5]]


async def test_what_is_known_is_there_at_once(squares: Squares, loader: Loader[int, int]) -> None:
    assert await loader.load_many([1, 2]) == [1, 4]
    assert loader.batch([2, 1, 2]) == [4, 1, 4]
    assert loader.load(1).result() == 1
    assert loader.load_many([2]).result() == [4]
    assert loader.load_many([]).result() == []
    assert loader.batch([]) == []
    assert squares.calls == [[1, 2]]


async def test_a_key_that_is_being_found_is_not_looked_for_again(squares: Squares, loader: Loader[int, int]) -> None:
    squares.may_go.clear()
    first = loader.load_many([1, 2])
    await several_turns()
    both = loader.load_many([2, 3])
    await several_turns()
    squares.may_go.set()
    assert (await first, await both) == ([1, 4], [4, 9])
    assert squares.calls == [[1, 2], [3]]


async def test_a_failure_is_of_its_keys_and_is_not_kept(squares: Squares, loader: Loader[int, int]) -> None:
    assert await loader.load(1) == 1
    squares.fails = True
    batch, one, many = loader.batch([1, 2]), loader.load(2), loader.load_many([1, 3])
    assert isinstance(batch, asyncio.Future)
    known, failure = await batch
    assert known == 1
    assert isinstance(failure, ValueError)
    for future in (one, many):
        with pytest.raises(ValueError, match="no squares"):
            await future
    squares.fails = False
    assert await loader.load_many([2, 3]) == [4, 9]
    assert [sorted(keys) for keys in squares.calls] == [[1], [2, 3], [2, 3]]


async def test_an_answer_of_another_length_fails_its_keys() -> None:
    async def find(keys: Sequence[int]) -> list[int]:
        return list(keys[1:])

    with pytest.raises(ValueError, match="shorter"):
        await Loader(find).load_many([1, 2])


async def test_who_stops_waiting_stops_nobody_else(squares: Squares, loader: Loader[int, int]) -> None:
    squares.may_go.clear()
    leaving, one, many = loader.load(1), loader.load(1), loader.load_many([1, 2])
    await several_turns()
    leaving.cancel()
    many.cancel()
    await several_turns()
    squares.may_go.set()
    assert await one == 1
    assert loader.batch([1, 2]) == [1, 4]
    assert squares.ended == 0


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_call_for_nobody_is_ended_and_the_next_is_another(
    squares: Squares, loader: Loader[int, int], *, has_begun: bool
) -> None:
    squares.may_go.clear()
    one, many = loader.load(1), loader.load_many([1, 2])
    if has_begun:
        await several_turns()
    one.cancel()
    many.cancel()
    later = loader.load(1)
    await several_turns()
    squares.may_go.set()
    assert await later == 1
    assert squares.ended == int(has_begun)
    assert len(asyncio.all_tasks()) == 1


async def test_a_call_that_is_cancelled_from_outside_ends_those_who_wait(
    squares: Squares, loader: Loader[int, int]
) -> None:
    squares.may_go.clear()
    one, batch = loader.load(1), loader.batch([1, 2])
    await several_turns()
    (call,) = asyncio.all_tasks() - {asyncio.current_task()}
    call.cancel()
    await several_turns()
    assert one.cancelled()
    assert isinstance(batch, asyncio.Future)
    assert batch.cancelled()
    squares.may_go.set()
    assert await loader.load(1) == 1


async def test_primed_values_are_not_looked_for(squares: Squares, loader: Loader[int, int]) -> None:
    assert await loader.load(1) == 1
    squares.may_go.clear()
    being_found = loader.load(2)
    loader.prime([1, 2, 3], [-1, -2, -3])
    squares.may_go.set()
    assert await being_found == 4
    assert loader.batch([1, 2, 3]) == [1, 4, -3]


async def test_nothing_of_a_finished_call_waits_for_the_garbage_collector(
    squares: Squares, loader: Loader[int, int]
) -> None:
    gc.collect()
    gc.disable()
    try:
        assert await loader.load_many([1, 2]) == [1, 4]
        await several_turns()
        assert gc.collect() == 0
    finally:
        gc.enable()
