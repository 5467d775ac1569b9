"""What `photogram run` prints: a spinner on a terminal, plain lines in a pipe or a file."""

import os
import sys
import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status

DETAIL_SECONDS = 5.0


class _Console(Console):
    """A console that goes quiet when its reader is gone, where Rich's own would end the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminal:
    """Shows one stage of work at a time. Output into a closed pipe is dropped."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._stage = ""
        self._since = 0.0
        self._printed_at = 0.0

    def doing(self, stage: str) -> None:
        """Ends the stage before, with its seconds, and begins `stage`."""
        self.done()
        self._stage, self._since = stage, time.monotonic()
        self._printed_at = self._since
        if self._console.is_terminal:
            self._status = self._console.status(escape(f"{stage} ..."))
            self._status.start()

    def detail(self, text: str) -> None:
        """Shows how far the stage is: at once on a terminal, else in a line every `DETAIL_SECONDS`."""
        if self._status:
            self._status.update(escape(f"{self._stage}: {text}"))
        elif time.monotonic() - self._printed_at >= DETAIL_SECONDS:
            self._printed_at = time.monotonic()
            self.print_line(f"{self._stage}: {text}")

    def done(self) -> None:
        """Ends the stage, if there is one."""
        stage = self._stage
        self.abandon()
        if stage:
            self.print_line(f"{stage}: {time.monotonic() - self._since:.1f} s")

    def abandon(self) -> None:
        """Removes the spinner without a line: the stage has failed, and the caller says why."""
        if self._status:
            self._status.stop()
            self._status = None
        self._stage = ""

    def print_line(self, text: str) -> None:
        """Prints `text` as it is, at once."""
        self._console.print(escape(text))
        self._console.file.flush()
