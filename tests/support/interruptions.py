"""Making something happen between two steps of the code under test."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruption(
    store: object, name: str, action: Callable[[], Awaitable[object]], *, after: bool = False
) -> Iterator[None]:
    """Within the block, runs `action` once: just before, or just after, the first call of a store's method."""
    method, is_due = getattr(store, name), True

    async def intercept(*args: Any, **named: Any) -> Any:
        nonlocal is_due
        is_first, is_due = is_due, False
        if is_first and not after:
            await action()
        result = await method(*args, **named)
        if is_first and after:
            await action()
        return result

    setattr(store, name, intercept)
    try:
        yield
    finally:
        delattr(store, name)
