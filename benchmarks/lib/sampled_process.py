"""`python sampled_process.py FOLDER ARGUMENTS`: Photogram's command line, sampled while it runs.

SIGUSR1 starts the samples, one for some milliseconds of processor time; SIGUSR2 ends them and writes to FOLDER/PID.json
how often each stack was seen. It runs by the interpreter of any checkout, in its folder, so it imports nothing of ours.
"""

import json
import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL = 0.001  # seconds; the kernel rounds it up to its tick
_stacks: Counter[tuple[CodeType, ...]] = Counter()


def _sample(_signal: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        stack.append(frame.f_code)
        frame = frame.f_back
    _stacks[tuple(stack)] += 1


def _start(_signal: int, _frame: FrameType | None) -> None:
    _stacks.clear()
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)


def _write(_signal: int, _frame: FrameType | None) -> None:
    """Writes stacks as lists of file and function, innermost first; the file appears when it is whole."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    stacks = [([[code.co_filename, code.co_name] for code in stack], count) for stack, count in _stacks.items()]
    unfinished = Path(file + ".new")
    unfinished.write_text(json.dumps(stacks))
    unfinished.rename(file)


file = f"{sys.argv.pop(1)}/{os.getpid()}.json"
sys.path[0] = os.getcwd()  # noqa: PTH109  what `python -m` has there
for number, handler in ((signal.SIGPROF, _sample), (signal.SIGUSR1, _start), (signal.SIGUSR2, _write)):
    signal.signal(number, handler)
    signal.siginterrupt(number, False)
runpy.run_module("deploy.cli", run_name="__main__")
