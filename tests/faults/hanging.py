"""Processes that hang, for tests that they end nevertheless.

`python -m tests.faults.hanging worker ...` runs `photogram worker ...` with a watchdog that finds it stuck at once.
"""

import sys
import time

from datasources.mongo.watchdog import Watchdog
from deploy.cli.commands import main
from domain.comment_screening import Screened, Verdict


async def screen(_screened: Screened) -> Verdict:
    """Blocks the whole process, as an operator's own screen might."""
    sys.stderr.write("the screen hangs\n")
    time.sleep(3600)
    return Verdict()


async def find_stuck(watchdog: Watchdog) -> None:
    watchdog.stuck.set()


if __name__ == "__main__":
    Watchdog.run = find_stuck  # type: ignore[assignment, method-assign]
    main()
