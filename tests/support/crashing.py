"""Dying before a chosen write to MongoDB, or before jobs are sent, which leaves what a killed process would leave."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from datasources.jobs.queue import JobQueue

WRITES = (
    "insert_one",
    "insert_many",
    "replace_one",
    "update_one",
    "update_many",
    "find_one_and_update",
    "delete_one",
    "delete_many",
    "bulk_write",
)


class Died(BaseException):
    """The process is gone; nothing in it can catch this."""


@contextmanager
def dying(before: int) -> Iterator[None]:
    """Within the block, the write with this number (from 0) and all later ones raise Died. Earlier ones are made."""
    left = before

    def guarded(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Died
            left -= 1
            return await write(*args, **named)

        return run

    places = [*((AsyncCollection, name) for name in WRITES), (AsyncDatabase, "command")]
    patches = [patch.object(place, name, guarded(getattr(place, name))) for place, name in places]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


async def dies_before_jobs(work: Callable[[], Awaitable[object]]) -> None:
    """Does the work up to the sending of its first jobs, of which no worker hears before the relay."""

    async def die(_queue: JobQueue, *_args: Any) -> None:
        raise Died

    with patch.object(JobQueue, "enqueue", die), pytest.raises(Died):
        await work()


async def dies_before_write(work: Callable[[], Awaitable[object]], before: int) -> bool:
    """Does the work up to its write with this number. Returns whether the work came that far and died."""
    try:
        with dying(before):
            await work()
    except Died:
        return True
    return False
