"""What it costs to be seen: counting, a scrape, the observer, reading a backup: `python -m benchmarks.observing`."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from bson import ObjectId
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.servers import finish, servers, stores
from config import Settings
from datasources.jobs.outbox import pending_fields
from datasources.mongo import clock
from datasources.sources import Sources
from datasources.telemetry.metrics import COSTS, REGISTRY, SECONDS, SIZES, Distribution
from datasources.telemetry.tracing import current_traceparent, operation_part
from domain.jobs import Task
from resolvers.transport.operation_metrics import NAMES_MAX, OPERATION_METRICS
from workers.maintenance.backup.documents import READ_AT_ONCE, write_documents
from workers.maintenance.backup.folder import RAW, BackupFolder
from workers.monitoring.observations import LOOKED_AT, OBSERVATIONS

CALLS = 20_000
NOTES = {"operation": "HomeFeed", "operation_type": "query", "cost": 300, "account": "x"}
ENTRIES = 200_000
BUDGET = 60.0
LONGEST = 600.0


def main(
    repeat: Annotated[int, typer.Option("--rounds", min=1, help="Rounds, each of all ways in turn.")] = 7,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Measures what metrics, the observer and a backup's reads take."""
    with servers() as settings:
        tables = [_counting(repeat), _scrape(repeat), *finish(_databases(settings, repeat), LONGEST)]
    show(tables, ["prometheus-client", "pymongo"], markdown=markdown)


def _cpu(work: Callable[[], object], calls: int = 1) -> float:
    """Processor seconds of a call."""
    began = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - began) / calls


def _counting(repeat: int) -> Table:
    registry = CollectorRegistry()
    counter = Counter("bare", "-", ["operation", "transport", "code"], registry=registry)
    seconds = Histogram("bare_seconds", "-", ["operation"], buckets=SECONDS, registry=registry)
    cost = Histogram("bare_cost", "-", buckets=COSTS, registry=registry)
    sizes = Distribution("benchmark_keys", "-", "loader", bounds=SIZES)

    def by_library() -> None:
        counter.labels("HomeFeed", "http", "OK").inc()
        seconds.labels("HomeFeed").observe(0.003)
        cost.observe(300)

    def untraced() -> None:
        with operation_part("HomeFeed", "query") as part:
            part.set(account="x", cost=300)
        current_traceparent()

    ways: dict[str, Callable[[], object]] = {
        "a request, by prometheus-client's own counters": by_library,
        "a request": lambda: OPERATION_METRICS.count_request(NOTES, 200, 0.003),
        "a call of a dataloader": lambda: sizes.add(20, "user_by_id"),
        "a request's hooks for traces, which are off": untraced,
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in rounds(repeat, BUDGET):
        for name, way in ways.items():
            spent[name].append(_cpu(way, CALLS))
    REGISTRY.unregister(sizes)
    base = spent[next(iter(ways))]
    table = Table("Counting", ["what", "CPU us", "against prometheus-client"])
    table.rows += [[name, f"{median(each) * 1e6:.2f}", times(each, base)] for name, each in spent.items()]
    return table


def _scrape(repeat: int) -> Table:
    table = Table("A scrape", ["names of operations", "kB", "CPU ms, in a thread of its own"])
    for names in (20, NAMES_MAX):
        for number in range(names):
            notes = NOTES | {"operation": f"Operation{number}"}
            for codes in ((), ("BUSY",), ("BAD_USER_INPUT",)):
                OPERATION_METRICS.count_request(notes | {"codes": codes}, 200, 0.003)
        spent = [_cpu(lambda: generate_latest(REGISTRY)) for _ in rounds(repeat, BUDGET)]
        size = len(generate_latest(REGISTRY))
        table.rows.append([f"{names}", f"{size / 1000:.0f}", f"{median(spent) * 1000:.1f}"])
    return table


async def _databases(settings: Settings, repeat: int) -> list[Table]:
    async with stores(settings) as sources:
        return [await _observer(sources, repeat), await _backup(sources, repeat)]


async def _observer(sources: Sources, repeat: int) -> Table:
    table = Table("The observer, every fifteen seconds", ["pending facts", "CPU ms", "ms on the clock"])
    for pending in (0, LOOKED_AT):
        due = [
            {"target_id": ObjectId(), "user_id": ObjectId(), **pending_fields([Task.COUNT, Task.NOTIFY], clock.now())}
            for _ in range(pending)
        ]
        if due:
            await sources.database["post_likes"].insert_many(due)
        cpu, clocked = [], []
        for _ in rounds(repeat, BUDGET):
            began, began_cpu = time.perf_counter(), time.thread_time()
            for observe in OBSERVATIONS.values():
                await observe(sources, clock.now())
            cpu.append(time.thread_time() - began_cpu)
            clocked.append(time.perf_counter() - began)
        table.rows.append([f"{pending:,}", f"{median(cpu) * 1000:.1f}", f"{median(clocked) * 1000:.0f}"])
    return table


async def _backup(sources: Sources, repeat: int) -> Table:
    entries = sources.database["feed_entries"]
    for _ in range(ENTRIES // 10_000):
        await entries.insert_many(
            [{"_id": {"o": ObjectId(), "p": ObjectId()}, "a": ObjectId()} for _ in range(10_000)], ordered=False
        )
    cpu: dict[str, list[float]] = {"read and dropped": [], "a backup": []}
    clocked: list[float] = []
    with TemporaryDirectory(prefix="photogram-bench-") as folder:
        for number in rounds(repeat, BUDGET):
            began = time.thread_time()
            async for _ in entries.with_options(RAW).find(batch_size=READ_AT_ONCE):
                pass
            cpu["read and dropped"].append(time.thread_time() - began)
            began, began_clock = time.thread_time(), time.perf_counter()
            await write_documents(sources, BackupFolder(Path(folder)), f"documents-{number}")
            cpu["a backup"].append(time.thread_time() - began)
            clocked.append(time.perf_counter() - began_clock)
    title = f"Reading {ENTRIES:,} feed entries for a backup"
    table = Table(title, ["way", "documents/s of a core", "documents/s on the clock", "against reading"])
    bare = cpu["read and dropped"]
    table.rows.append(["read and dropped", f"{ENTRIES / median(bare):,.0f}", "-", "1.00 x"])
    own = cpu["a backup"]
    table.rows.append(
        ["a backup", f"{ENTRIES / median(own):,.0f}", f"{ENTRIES / median(clocked):,.0f}", times(own, bare)]
    )
    return table


if __name__ == "__main__":
    typer.run(main)
