"""Amazon's SNS, SQS and S3 in a process of their own: moto's server, the one stand-in among the servers of the tests.

It keeps everything in memory, so killing it loses every topic, queue and message.
"""

import asyncio
import contextlib
import http.client
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import Settings
from deploy.local.ports import LOOPBACK, reserve_port
from deploy.local.process import Process, stop_all

START_SECONDS = 60.0
STOP_SECONDS = 5.0


class Amazon:
    """The server, always on the same port."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log
        self.url = f"http://{LOOPBACK}:{port}"
        self.process = self._start()
        self._wait()

    def kill(self) -> None:
        """Sends SIGKILL and returns once the process is gone."""
        self.process.kill()

    async def start(self) -> None:
        """Starts it again, empty, and waits until it answers."""
        self.process = self._start()
        await asyncio.to_thread(self._wait)

    def settings(self, settings: Settings, **changes: object) -> Settings:
        """These settings with jobs over this server's SNS and SQS."""
        keys = {"aws_endpoint": self.url, "aws_access_key": "tested", "job_queue": "sns-sqs"}
        patience = {"aws_timeout": 20.0}  # as long as moto may need on a busy machine; a killed one refuses at once
        return settings.model_copy(update=keys | patience | changes)

    def _start(self) -> Process:
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", LOOPBACK, "-p", str(self._port)]
        return Process.start("moto", command, log=self._log)

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            self.process.check()
            assert time.monotonic() < until, self._log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=1)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/moto-api/")
            return connection.getresponse().status == http.client.OK
        return False


@contextmanager
def running_amazon(folder: Path) -> Iterator[Amazon]:
    """Starts the server and stops it at the end of the block."""
    reserved = reserve_port()
    assert reserved is not None
    with reserved:
        amazon = Amazon(reserved.getsockname()[1], folder / "amazon.log")
        try:
            yield amazon
        finally:
            stop_all([amazon.process], STOP_SECONDS)
