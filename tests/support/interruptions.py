"""Making something happen between two steps of the code under test."""

from collections.abc import Awaitable, Callable
from typing import Any


def before_first_call(
    action: Callable[[], Awaitable[object]], function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """A replacement for `function` that runs `action` just before the first call."""
    actions = [action]

    async def run(*args: Any, **named: Any) -> Any:
        if actions:
            await actions.pop()()
        return await function(*args, **named)

    return run
