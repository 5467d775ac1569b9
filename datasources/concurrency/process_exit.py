"""The end of a process, in time for certain."""

import asyncio
import faulthandler
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 1.0


def exit_within(seconds: float) -> None:
    """Ends this process with code 1 after `seconds`, unless it has ended by then, whatever hangs.

    Python's own timer does it, which needs neither the event loop nor the interpreter's lock; what every thread was
    doing goes to stderr first. Safe in a signal handler. Children must see for themselves that their parent has gone.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


async def closed(close: Callable[[], Awaitable[object]]) -> None:
    """Calls `close` and awaits it, but no longer than `CLOSE_SECONDS`: then it is left behind, and the log says so."""
    closing = asyncio.ensure_future(close())
    done, _ = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    if not done:
        log.warning("not closed in time", what=getattr(close, "__qualname__", repr(close)))
        closing.cancel()
        return
    closing.result()
