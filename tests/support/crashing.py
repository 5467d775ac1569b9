"""Dying before a chosen write: what a process that is killed there leaves behind."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

WRITES = (
    "insert_one",
    "insert_many",
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
    """Within the block, the write with this number (from 0) and all later ones to MongoDB are not made but raise Died.

    The writes themselves are the real ones.
    """
    left = before

    def guarded(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(*given: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Died
            left -= 1
            return await write(*given, **named)

        return run

    places = [*((AsyncCollection, name) for name in WRITES), (AsyncDatabase, "command")]
    patches = [patch.object(place, name, guarded(getattr(place, name))) for place, name in places]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


async def dies_before_write(work: Callable[[], Awaitable[object]], before: int) -> bool:
    """Does the work until its write with this number; whether it came so far and died."""
    try:
        with dying(before):
            await work()
    except Died:
        return True
    return False
