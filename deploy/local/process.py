"""A child process with its own group and log, which dies with the process that started it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from deploy.local.errors import PortTakenError, StartError
from deploy.local.server_logs import last_error, names_taken_port, rotate

WRAPPER = Path(__file__).with_name("die_with_parent.py")


class Process:
    """One running child. Not thread-safe; used by the supervisor's main thread."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path | None) -> None:
        self.name = name
        self._log = log
        self._popen = popen

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path | None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> Self:
        """Starts `command` in a process group of its own (Ctrl-C does not reach it), with its output in `log`.

        With None for a log, its output is that of this process.
        Must be called from the main thread: the kernel's parent-death signal fires when the *thread* that forked ends.
        Raises StartError if the command cannot be started.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children must be started from the main thread")
        command_line = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), *map(str, command)]
        try:
            with _appending(log) as output:
                popen = subprocess.Popen(
                    command_line,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=None if output is None else subprocess.STDOUT,
                    env=env,
                    cwd=cwd,
                    pass_fds=pass_fds,
                    process_group=0,
                )
        except OSError as error:
            raise StartError(f"{name} cannot be started: {error.strerror} ({error.filename or log})") from error
        return cls(name, popen, log)

    @property
    def log(self) -> Path:
        """The file of its output. Raises RuntimeError for a child without one."""
        if self._log is None:
            raise RuntimeError(f"{self.name} has no log of its own")
        return self._log

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the number of the signal that ended it."""
        return self._popen.poll()

    def why_it_ended(self) -> str:
        """One line: the code or signal it ended with and, if it had time for any, the last error in its log."""
        code = self.exit_code
        if code is None:
            return f"{self.name} is running"
        ending = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if self._log is None:
            return f"{self.name} {ending}"
        reason = "" if code == -signal.SIGKILL else f": {last_error(self._log)}"
        return f"{self.name} {ending}{reason} (log: {self._log})"

    def check(self) -> None:
        """Raises StartError if it is not running any more, PortTakenError if it could not get a port."""
        if self.exit_code is not None:
            failure = PortTakenError if self._log is not None and names_taken_port(self._log) else StartError
            raise failure(self.why_it_ended())

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to stop; returns at once. Nothing happens if it ended already."""
        if self._popen.poll() is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """Ends it and whatever it started in its group. Safe to repeat."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(timeout=5)

    def wait(self, until: float) -> None:
        """Waits for its end up to `until` (monotonic seconds), then kills it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=max(0.0, until - time.monotonic()))
        self.kill()


def stop_all(processes: Sequence[Process], timeout: float, number: signal.Signals = signal.SIGTERM) -> None:
    """Asks all of them to stop at once, and kills those that have not after `timeout` seconds. Safe to repeat."""
    for process in processes:
        process.terminate(number)
    until = time.monotonic() + timeout
    for process in processes:
        process.wait(until)


@contextlib.contextmanager
def _appending(log: Path | None) -> Iterator[IO[bytes] | None]:
    """A log open for a new run, or None for none."""
    if log is None:
        yield None
        return
    rotate(log)
    with log.open("ab") as output:
        yield output
