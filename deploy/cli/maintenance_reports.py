"""The commands `verify`, `repair` and `gc`: each returns its exit code."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Protocol

from bson import ObjectId

from config import Settings
from datasources.mongo.prepared import expect_indexes
from datasources.sources import Sources, open_sources
from datasources.telemetry.logs import configure_logging
from deploy.cli.exit_codes import FAILED, INTERRUPTED, WRONG_USAGE, explain_server_error
from deploy.cli.output import FINDINGS, finding_line, print_findings, print_json, print_line, progress_bars
from deploy.local.errors import StartError
from domain.ids import expect_id
from workers.maintenance.gc.steps import Collected, EmptyDatabaseError, collect
from workers.maintenance.rebuild_feeds import Rebuilt, rebuild_feeds
from workers.maintenance.repair import Repaired, repair
from workers.maintenance.verify import Report, verify
from workers.maintenance.walk import Walk, Watch
from workers.rendering.pool import RenderPool
from workers.runtime.handler import Tools

ALL = "all"


def run(settings: Settings, command: Coroutine[Any, Any, int]) -> int:
    """Runs a maintenance command to its exit code. Logs go to standard error; standard output has the answer alone.

    Ctrl-C closes everything and ends it in one line.
    """
    configure_logging(settings.log_format, "WARNING")
    try:
        return asyncio.run(command)
    except KeyboardInterrupt:
        print("photogram: stopped; running it again does the rest", file=sys.stderr)
        return INTERRUPTED


@contextlib.asynccontextmanager
async def open_prepared(settings: Settings) -> AsyncIterator[Sources]:
    """Sources over a database that has its indexes. Raises UnusableDatabaseError without them."""
    async with open_sources(settings) as sources:
        await expect_indexes(sources.database)
        yield sources


class _Report(Protocol):
    seconds: float
    incomplete: str | None


async def run_reporting(
    settings: Settings,
    report: _Report,
    work: Callable[[Sources, Watch], Awaitable[object]],
    print_report: Callable[[], None],
    *,
    as_json: bool,
) -> int:
    """Does the work, and prints what it has done, also when a server stops answering; returns the exit code."""
    began, code = time.monotonic(), 0
    async with open_prepared(settings) as sources:
        try:
            with progress_bars(as_json=as_json) as watch:
                await work(sources, watch)
        except Exception as error:
            explained = explain_server_error(error, settings)
            if explained is None:
                raise
            report.incomplete, code = explained
    report.seconds = round(time.monotonic() - began, 3)
    print_json(report) if as_json else print_report()
    if report.incomplete is not None:
        print(f"photogram: {report.incomplete}; this is incomplete", file=sys.stderr)
    return code


async def run_verify(settings: Settings, *, sample: int | None = None, pause: float = 0, as_json: bool = False) -> int:
    """Prints what `verify` finds; returns 1 if there is anything, else 0."""
    report = Report()

    async def work(sources: Sources, watch: Watch) -> None:
        await verify(Walk(sources=sources, sample=sample, pause=pause, watch=watch), report)

    def print_report() -> None:
        print_findings(report.findings, report.found)
        pending = _numbers(report.pending.facts)
        print_line(f"looked at: {_numbers(report.checked) or 'nothing'} in {report.seconds} s")
        print_line(f"pending: {pending or 'nothing'}" + (f", for {report.pending.oldest_seconds} s" if pending else ""))
        print_line(f"queued: {_numbers(report.queues) or 'nothing'}")
        print_line(f"findings: {report.found}")

    code = await run_reporting(settings, report, work, print_report, as_json=as_json)
    return code or (FAILED if report.found else 0)


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)


async def run_repair(settings: Settings, *, sample: int | None = None, pause: float = 0, as_json: bool = False) -> int:
    """Prints what `repair` does; returns 1 if it leaves something, else 0."""
    done = Repaired()

    async def work(sources: Sources, watch: Watch) -> None:
        walk = Walk(sources=sources, sample=sample, pause=pause, watch=watch)
        async with RenderPool(settings.render_processes, settings.render_timeout, settings.render_memory_mb) as pool:
            await repair(Tools(sources=sources, pool=pool), walk, done)

    def print_report() -> None:
        for finding in done.repaired[:FINDINGS]:
            print_line(f"repaired  {finding_line(finding)}")
        print_findings(done.left, done.left_found)
        print_line(f"repaired: {done.repaired_found}; left: {done.left_found}; not due yet: {done.waiting}")

    code = await run_reporting(settings, done, work, print_report, as_json=as_json)
    return code or (FAILED if done.left_found else 0)


async def run_rebuild(settings: Settings, whose: str, *, pause: float = 0, as_json: bool = False) -> int:
    """Rebuilds the feed of the user with this id, or with `all` every feed. Raises StartError for what is no id."""
    owner_id = None if whose == ALL else _user_id(whose)
    done = Rebuilt()

    async def work(sources: Sources, watch: Watch) -> None:
        await rebuild_feeds(Tools(sources=sources), Walk(sources=sources, pause=pause, watch=watch), owner_id, done)

    def print_report() -> None:
        print_line(f"feeds rebuilt: {done.feeds}; left to the workers: {done.waiting}; {done.seconds} s")

    return await run_reporting(settings, done, work, print_report, as_json=as_json)


def _user_id(text: str) -> ObjectId:
    user_id = ObjectId(text) if ObjectId.is_valid(text) else expect_id(text, "User")
    if user_id is None:
        raise StartError(f"{text} is no user's id", exit_code=WRONG_USAGE)
    return user_id


async def run_gc(settings: Settings, *, min_age: float, dry_run: bool, as_json: bool) -> int:
    """Prints what `gc` removes. Raises StartError for a database without users."""
    collected = Collected(dry_run=dry_run)

    async def work(sources: Sources, watch: Watch) -> None:
        age = timedelta(seconds=min_age)
        await collect(sources, min_age=age, dry_run=dry_run, watch=watch, collected=collected)

    def print_report() -> None:
        for kind, number in collected.removed.items():
            print_line(f"{'would remove' if dry_run else 'removed'} {kind}: {number}")
        print_line(f"{'' if collected.removed else 'nothing to remove, '}{collected.seconds} s")

    try:
        return await run_reporting(settings, collected, work, print_report, as_json=as_json)
    except EmptyDatabaseError as error:
        raise StartError(str(error), exit_code=WRONG_USAGE) from error
