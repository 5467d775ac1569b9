"""A worker with short leases and one handler: `python -m tests.faults.toy_worker slow|deadly`.

`slow`: the first call for a job never ends, and later ones end at once: SQS may bring a message again. `deadly`: calls
kill their process, and a new process takes its place until the job is a dead letter. Redis counts the calls.
"""

import asyncio
import os
import secrets
import signal
import sys

from config import Settings, read_settings
from datasources.jobs.opening import open_consumer
from datasources.sources import open_sources
from domain.jobs import Fact, Task
from tests.support.handlers import handler_of
from workers.runtime.handler import Handler, Tools
from workers.runtime.worker import Worker

WORK = (Task.COUNT, Fact.POST_LIKE)
QUEUE = "counters"
LEASE = 1.0  # the shortest of SQS
LIMIT = 2.0  # seconds that a call may take
MAX_LIVES = 20


def key(settings: Settings, name: str) -> str:
    return f"{settings.key_prefix}toy:{name}"


async def slow(tools: Tools, target: str) -> None:
    called, calls = (key(tools.sources.settings, name) for name in ("called", "calls"))
    if await tools.sources.redis.queue.of(called).sadd(called, target):
        await tools.sources.redis.queue.of(calls).incr(calls)
        await asyncio.Event().wait()


async def deadly(tools: Tools, _target: str) -> None:
    calls = key(tools.sources.settings, "calls")
    await tools.sources.redis.queue.of(calls).incr(calls)
    os.kill(os.getpid(), signal.SIGKILL)


async def run_worker(handler: Handler) -> None:
    settings, stopping = read_settings(None), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with (
        open_sources(settings) as sources,
        open_consumer(settings, QUEUE, f"toy-{secrets.token_hex(4)}", LEASE) as queue,
    ):
        worker = Worker(Tools(sources=sources), queue, handlers={WORK: handler}, read_wait=0.05)
        await worker.run(stopping)


def live_and_die() -> None:
    """Runs the deadly worker in one child process after another."""
    for _ in range(MAX_LIVES):
        child = os.fork()
        if not child:
            asyncio.run(run_worker(handler_of(deadly)))
            os._exit(0)
        signal.signal(signal.SIGTERM, lambda *_, child=child: os.kill(child, signal.SIGTERM))
        if not os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            return


if __name__ == "__main__":
    if sys.argv[1] == "slow":
        asyncio.run(run_worker(handler_of(slow, seconds=LIMIT)))
    else:
        live_and_die()
