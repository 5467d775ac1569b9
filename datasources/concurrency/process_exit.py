"""Ending a process in time, whatever hangs."""

import asyncio
import faulthandler
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 1.0


def exit_within(seconds: float) -> None:
    """Ends this process with code 1 after `seconds`, unless it has ended by then.

    Python's own timer does it, which needs neither the event loop nor the interpreter's lock. It first writes the stack
    of every thread to stderr. Safe in a signal handler. Children must notice by themselves that their parent has gone.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


async def close_in_time(close: Callable[[], Awaitable[object]]) -> None:
    """Awaits `close()` for `CLOSE_SECONDS` at most; then cancels it and logs that. Raises what `close` raises."""
    closing = asyncio.ensure_future(close())
    done, _ = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    if not done:
        log.warning("not closed in time", what=getattr(close, "__qualname__", repr(close)))
        closing.cancel()
        return
    closing.result()
