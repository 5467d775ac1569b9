"""What a job costs its sender and its worker over Redis and over SNS and SQS: `python -m benchmarks.job_queues`.

Amazon is moto's server on this machine. So the processor time is that of our process alone, and no time on the clock
says anything.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from unittest.mock import patch

import typer
import uvloop
from bson import ObjectId

from benchmarks.lib.report import Table, median, rounds, show, times
from config import Settings
from datasources.jobs import queue, redis_queue, sns_queue
from datasources.jobs.opening import open_consumer, open_job_queue, prepare_job_queue
from datasources.jobs.queue import JobQueue, QueueConsumer
from datasources.redis.roles import RedisRoles, open_roles
from datasources.s3.connections import PatientSession
from datasources.telemetry.logs import configure_logging
from deploy.local.servers import local_servers
from domain.jobs import Fact, Job, Task
from tests.support.amazon import running_amazon

ALONE, TOGETHER = 50, 500
WORKER = "counters"
BUDGET = 120.0  # seconds of rounds
PATIENCE = 30.0  # for one call, on however busy a machine
LEASE = 600.0  # so that nothing comes twice
NOWHERE = "http://127.0.0.1:1"  # of servers that are not needed, so that they are not started


class Spent(NamedTuple):
    """What something took: seconds of our processor time, commands to Redis, calls to Amazon."""

    cpu: float
    commands: float
    calls: float


def main(
    repeat: Annotated[int, typer.Option("--rounds", min=1, help="Rounds, each of both queues in turn.")] = 5,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Sends, reads and acknowledges jobs over both queues, in turn."""
    configure_logging("console", "ERROR")
    for module, name in ((queue, "ENQUEUE_SECONDS"), (redis_queue, "ENQUEUE_SECONDS"), (sns_queue, "SEND_SECONDS")):
        setattr(module, name, PATIENCE)
    settings = Settings(environment="test", mongo_url=NOWHERE, s3_endpoint_url=NOWHERE)
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder, "servers"), settings) as redis,
        running_amazon(Path(folder)) as amazon,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        table = runner.run(_measure((redis, amazon.settings(redis, aws_timeout=PATIENCE)), repeat))
    show([table], ["redis", "aiobotocore"], markdown=markdown)


async def _measure(settings: tuple[Settings, Settings], repeat: int) -> Table:
    figures: tuple[list[dict[str, Spent]], list[dict[str, Spent]]] = ([], [])
    for _ in rounds(repeat, BUDGET):
        for seen, each in zip(figures, settings, strict=True):
            seen.append(await _round(each))
    columns = ["", "Redis: CPU us", "commands", "SNS and SQS: CPU us", "calls", "commands", "ratio"]
    table = Table("A job", columns)
    for name in figures[0][0]:
        redis, amazon = ([seen[name] for seen in each] for each in figures)
        table.rows.append(
            [
                name,
                _us(redis),
                _number(redis, "commands"),
                _us(amazon),
                _number(amazon, "calls"),
                _number(amazon, "commands"),
                times([each.cpu for each in amazon], [each.cpu for each in redis]),
            ]
        )
    return table


def _us(spent: Sequence[Spent]) -> str:
    return f"{median([each.cpu for each in spent]) * 1e6:,.0f}"


def _number(spent: Sequence[Spent], field: str) -> str:
    return f"{median([getattr(each, field) for each in spent]):.2g}"


async def _round(settings: Settings) -> dict[str, Spent]:
    """What a job takes, and a second without jobs."""
    await prepare_job_queue(settings)
    async with (
        _roles(settings) as roles,
        open_job_queue(settings, roles) as job_queue,
        open_consumer(settings, WORKER, "measured", LEASE) as consumer,
    ):
        await consumer.read(1, 0.1)  # makes the group
        await job_queue.enqueue(_jobs(1))
        await _work_off(consumer, 1)  # all are connected now
        return await _steps(_Meter(roles), job_queue, consumer)


@asynccontextmanager
async def _roles(settings: Settings) -> AsyncIterator[RedisRoles]:
    roles = open_roles(settings)
    try:
        yield roles
    finally:
        await roles.aclose()


class _Meter:
    """Measures one thing after the other."""

    def __init__(self, roles: RedisRoles) -> None:
        (self._redis,) = roles.queue.all
        self._calls = 0

    async def measure(self, work: Callable[[], Awaitable[object]], number: float = 1) -> Spent:
        """What the work takes, divided by a number."""
        with patch.object(PatientSession, "send", self._counted(PatientSession.send)):
            self._calls, commands = 0, await self._commands()
            began = time.process_time()
            await work()
            cpu = time.process_time() - began
            commands = await self._commands() - commands - 1  # the first of these two questions is counted
        return Spent(cpu / number, commands / number, self._calls / number)

    async def _commands(self) -> int:
        return int((await self._redis.info("stats"))["total_commands_processed"])

    def _counted(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(session: PatientSession, request: Any) -> Any:
            self._calls += 1
            return await send(session, request)

        return counted


async def _steps(meter: _Meter, job_queue: JobQueue, consumer: QueueConsumer) -> dict[str, Spent]:
    sent, worked = [], []
    for _ in range(ALONE):
        sent.append(await meter.measure(lambda: job_queue.enqueue(_jobs(1))))
        worked.append(await meter.measure(lambda: _work_off(consumer, 1)))
    many = await meter.measure(lambda: job_queue.enqueue(_jobs(TOGETHER)), TOGETHER)
    together = await meter.measure(lambda: _work_off(consumer, TOGETHER), TOGETHER)
    began = time.monotonic()
    nothing = await meter.measure(lambda: _expect_none(consumer))
    seconds = time.monotonic() - began
    return {
        "sent alone": _typical(sent),
        "read, begun and acknowledged alone": _typical(worked),
        f"sent with {TOGETHER - 1} others": many,
        "read, begun and acknowledged with them": together,
        "a second without jobs, of a worker": Spent(*(each / seconds for each in nothing)),
    }


def _typical(spent: Sequence[Spent]) -> Spent:
    return Spent(*map(median, zip(*spent, strict=True)))


async def _work_off(consumer: QueueConsumer, number: int) -> None:
    """Does with so many messages what a worker does, without any work. moto may give one twice."""
    seen = set[bytes]()
    while len(seen) < number:
        ids = [message.id for message in await consumer.read(TOGETHER, consumer.read_wait)]
        await consumer.mark_started(ids)
        await consumer.acknowledge(ids)
        seen.update(ids)


async def _expect_none(consumer: QueueConsumer) -> None:
    if await consumer.read(TOGETHER, consumer.read_wait):
        raise RuntimeError("a message came twice")


def _jobs(number: int) -> list[Job]:
    return [Job(Task.COUNT, Fact.POST_LIKE, str(ObjectId())) for _ in range(number)]


if __name__ == "__main__":
    typer.run(main)
