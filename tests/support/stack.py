"""The product as an operator runs it: processes of the API and the workers, started, stopped and killed."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.haproxy import start as start_haproxy
from deploy.local.ports import LOOPBACK, listen, reserve_port, reserve_ports
from deploy.local.process import Process, stop_all
from deploy.local.services import ApiProcesses
from tests.support.haproxy import HAPROXY
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0  # on a machine that runs other things too
STOP_SECONDS = 15.0
BALANCED = 2


class Stack:
    """One API process and any number of worker processes over running servers."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        reserved = reserve_port()  # so that tests side by side do not take each other's API for their own
        assert reserved is not None
        self._reserved = reserved
        self.settings = settings.model_copy(update={"host": LOOPBACK, "port": reserved.getsockname()[1]})
        if sys.platform != "linux":
            reserved.close()  # else the API could not have the port
        self._logs = logs
        self._processes: list[Process] = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.settings.port}"

    @property
    def living(self) -> list[Process]:
        """The running processes, in the order of their start."""
        return [process for process in self._processes if process.exit_code is None]

    async def api(self, *options: str) -> Process:
        """Starts the API and waits until it is ready."""
        process = self._start("api", "serve", *options)

        await self._await_answer(process, "/readyz")
        return process

    async def _await_answer(self, process: Process, path: str) -> None:
        async with httpx2.AsyncClient(base_url=self.url, timeout=5) as client:

            async def is_ready() -> bool:
                assert process.exit_code is None, process.why_it_ended()
                with contextlib.suppress(httpx2.TransportError):
                    return (await client.get(path)).is_success
                return False

            await eventually(is_ready, seconds=START_SECONDS)

    async def workers(self, *names: str) -> Process:
        """Starts one process for all workers, or for those named, and waits until its log says that it has begun."""
        process = self._start("worker", "worker", *names)

        async def has_begun() -> bool:
            assert process.exit_code is None, process.why_it_ended()
            return b"worker.start" in process.log.read_bytes()

        await eventually(has_begun, seconds=START_SECONDS)
        return process

    async def stop(self, *processes: Process, signal_number: int = signal.SIGTERM) -> list[int | None]:
        """Sends a signal to each and waits until all have ended; returns their exit codes."""
        for process in processes:
            os.kill(process.pid, signal_number)

        async def have_ended() -> bool:
            return all(process.exit_code is not None for process in processes)

        await eventually(have_ended, seconds=STOP_SECONDS)
        return [process.exit_code for process in processes]

    def close(self) -> None:
        """Stops all running processes."""
        stop_all(self._processes, STOP_SECONDS)
        self._reserved.close()

    def _start(self, name: str, *command: str) -> Process:
        log = self._logs / f"{name}{len(self._processes)}.log"
        argv = [sys.executable, "-m", "deploy.cli", *command]
        process = Process.start(name, argv, log=log, env=child_environment(self.settings), cwd=ROOT)
        self._processes.append(process)
        return process


class BalancedStack(Stack):
    """As a stack, with API processes behind HAProxy, as `photogram run --cluster` has them."""

    async def api(self, *options: str) -> Process:
        """Starts the API processes and HAProxy, waits until they are ready, and returns HAProxy's process."""
        assert not options
        assert HAPROXY is not None
        with reserve_ports(BALANCED) as ports, listen(LOOPBACK, self.settings.port) as listener:
            api = ApiProcesses.behind_balancer(self.settings, ports, self._logs)
            api.start()
            self._processes += api.running
            await asyncio.to_thread(api.await_ready, [], START_SECONDS)
            log = self._logs / "haproxy.log"
            process = start_haproxy(HAPROXY, self._logs / "haproxy", log, listener.fileno(), ports)
            self._processes.append(process)
        await self._await_answer(process, "/graphql?query={__typename}")
        return process


@contextmanager
def stack_on(settings: Settings, logs: Path, make: Callable[[Settings, Path], Stack] = Stack) -> Iterator[Stack]:
    """A stack without processes. Whatever it starts is stopped at the end of the block."""
    stack = make(settings, logs)
    try:
        yield stack
    finally:
        stack.close()


async def start_all(stack: Stack) -> tuple[Process, Process]:
    """Starts the API and one process for all workers, in parallel."""
    api, workers = await asyncio.gather(stack.api(), stack.workers())
    return api, workers
