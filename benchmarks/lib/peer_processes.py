"""Processes beside each other: started together, asked in turn, and the processor time of each."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.lib.peer_install import ROOT
from deploy.local.ports import LOOPBACK, listen
from tests.support.api_process import MeasuredProcess

START_SECONDS = 60.0
STOP_SECONDS = 10.0
PORT = "{port}"  # in a command: the port that it shall listen on


class PeerProcess(MeasuredProcess):
    """A running process. What it listens on is `port`, if its command asks for one."""

    def say(self, line: str) -> bytes:
        """Writes a line to its input and returns the next line of its output. Raises RuntimeError if it has ended."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"ended with {self.process.wait(STOP_SECONDS)}")
        return answer


@contextlib.contextmanager
def peer_process(
    command: Sequence[str], environment: Mapping[str, str], *, folder: Path = ROOT, piped: bool = False
) -> Iterator[PeerProcess]:
    """Runs a command until the block ends: with pipes, or on a free port, once it listens there."""
    with listen(LOOPBACK, 0) as listener:
        port = listener.getsockname()[1]
    pipe = subprocess.PIPE if piped else None
    process = subprocess.Popen(
        [part.replace(PORT, str(port)) for part in command],
        cwd=folder, env=os.environ | environment, stdin=pipe, stdout=pipe,
    )  # fmt: skip
    try:
        if not piped:
            wait_for_port(process, port)
        yield PeerProcess(process, port)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Waits until somebody accepts connections there. Raises RuntimeError if the process ends or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"not up: {process.args!r}, exit code {process.poll()}")
