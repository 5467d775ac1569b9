"""Runs a command that dies with its parent: `python -I -S die_with_parent.py PARENT_PID COMMAND...`.

It uses the standard library alone, so that it starts fast.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> int:
    if sys.platform == "linux":
        # Survives execv. SIGKILL, because a server that hangs while stopping must not outlive its owner either.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent was gone before prctl
            return 1
        os.execv(command[0], command)  # noqa: S606  no shell is wanted
    return _watch(parent, command)


def _watch(parent: int, command: list[str]) -> int:
    """Where the kernel has no parent-death signal (macOS): stays between the two and looks twice a second."""
    child = subprocess.Popen(command)

    def forward(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    while (code := child.poll()) is None:
        if os.getppid() != parent:
            child.kill()
        time.sleep(0.5)
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
