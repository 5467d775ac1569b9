"""Waiting for a condition instead of for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

NEWS_SECONDS = 12.0  # in which news must come: less than `POLL_SECONDS`, or a poll would hide that they were lost


async def eventually(check: Callable[[], Awaitable[Value]], *, seconds: float = 10.0, every: float = 0.05) -> Value:
    """The first true value that `check` returns. Raises AssertionError with the last value after `seconds`."""
    ends = time.monotonic() + seconds
    while True:
        value = await check()
        if value:
            return value
        if time.monotonic() > ends:
            raise AssertionError(f"not true after {seconds} s; last value: {value!r}")
        await asyncio.sleep(every)
