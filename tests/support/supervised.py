"""`photogram run` as its user sees it: what it prints, and the processes that it starts."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import psutil

from tests.support.stack import ROOT

RUN = [sys.executable, "-m", "deploy.cli", "run", "--no-seed"]
PATIENCE = 60.0
# A parent process that is not under nohup, however these tests were started: under nohup the command would live on.
STARTER = "import signal, subprocess, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); subprocess.run(sys.argv[1:])"


class Running:
    """One `photogram run`, its output line by line, and everything it started."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def await_line(self, pattern: str) -> re.Match[str]:
        """The match of the next line that has one; lines before it are dropped."""
        until = time.monotonic() + PATIENCE
        seen = []
        with contextlib.suppress(Empty):
            while True:
                seen.append(self._lines.get(timeout=max(0.0, until - time.monotonic())))
                if match := re.search(pattern, seen[-1]):
                    return match
        raise AssertionError(f"no line matches {pattern!r}: {seen}")

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.popen.pid).children(recursive=True)

    def child(self, *words: str) -> psutil.Process:
        """The one process that it started whose command has all these words."""
        (process,) = [child for child in self.family() if all(word in " ".join(child.cmdline()) for word in words)]
        return process

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends a signal. Then everything must end, with code 0."""
        family = self.family()
        self.popen.send_signal(number)
        self.await_line("Stopped")
        assert self.popen.wait(timeout=PATIENCE) == 0
        await_gone(family)

    def end(self) -> None:
        """Ends it, if it still runs."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        if self.popen.stdout:
            self.popen.stdout.close()

    def _read(self) -> None:
        for line in self.popen.stdout or ():
            self._lines.put(line)


@contextmanager
def running(data_dir: Path, *, command: Sequence[str] = RUN) -> Iterator[Running]:
    """Runs it on a free port during the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PHOTOGRAM_")}
    environment["PHOTOGRAM_DRAIN_NOTICE"] = "0"  # no load balancer here
    environment["PHOTOGRAM_EMAIL_VERIFICATION"] = "off"
    popen = subprocess.Popen(  # noqa: S603
        [*command, "--port", "0", "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    run = Running(popen)
    try:
        yield run
    finally:
        run.end()


def await_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def await_true(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
