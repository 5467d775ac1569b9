"""When `photogram run` has to stop: a signal, or the death of the process that started it."""

import os
import signal
import threading
import time
from types import FrameType

from datasources.concurrency.process_exit import exit_within

KILLED = 130


class StopRequestedError(KeyboardInterrupt):
    """Raised in the main thread, wherever it is, by the first signal; asyncio lets a KeyboardInterrupt through."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def stop_on_signals(within: float) -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise StopRequestedError, and a second one ends this process at once.

    So do `within` seconds after the first, whatever hangs. Its children die with it. SIGHUP stays ignored where it was
    (nohup).
    """
    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(KILLED)
        asked = True
        exit_within(within)
        raise StopRequestedError(signal.Signals(number))

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    if not hangup_is_ignored():
        signal.signal(signal.SIGHUP, handle)


def hangup_is_ignored() -> bool:
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def stop_with_parent(parent: int) -> None:
    """Watches, in a thread, whether process `parent` still is this one's parent, and asks it to stop when not."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
