"""Waiting for a condition instead of for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")


async def eventually(check: Callable[[], Awaitable[Found]], *, seconds: float = 10.0, every: float = 0.05) -> Found:
    """What `check` returns, once that is true. Raises AssertionError with its last answer after `seconds`."""
    ends = time.monotonic() + seconds
    while True:
        found = await check()
        if found:
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"not so after {seconds} s; last seen: {found!r}")
        await asyncio.sleep(every)
