"""What hangs, for tests of how a process ends nevertheless.

`python -m tests.faults.hanging worker ...` is `photogram worker ...` with a watchdog that finds it stuck at once.
"""

import sys
import time

from datasources.mongo.watchdog import Watchdog
from deploy.cli.main import main
from domain.comment_screening import Screened, Verdict


async def screen(_screened: Screened) -> Verdict:
    """Holds up the whole process, as an operator's own function might."""
    sys.stderr.write("the screen hangs\n")
    time.sleep(3600)
    return Verdict()


async def find_stuck(watchdog: Watchdog) -> None:
    watchdog.stuck.set()


if __name__ == "__main__":
    Watchdog.run = find_stuck  # type: ignore[assignment, method-assign]
    main()
