"""The commands `verify`, `repair` and `gc`: each returns its exit code."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import timedelta
from typing import Any, Protocol

from bson import ObjectId

from config import Settings
from datasources.mongo.indexes import expect_indexes
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


class _Incomplete(Protocol):
    incomplete: str | None


class _Outcome:
    """The work of a command, which still prints what it has done when a server stops answering."""

    def __init__(self, settings: Settings, report: _Incomplete, *, as_json: bool) -> None:
        self._settings = settings
        self._report = report
        self._as_json = as_json
        self._code: int | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[Watch]:
        """Shows the progress. Notes in the report why the work ended early; raises what is no server's fault."""
        try:
            with progress_bars(as_json=self._as_json) as watch:
                yield watch
        except Exception as error:
            explained = explain_server_error(error, self._settings)
            if explained is None:
                raise
            self._report.incomplete, self._code = explained

    def exit_code(self, usual: int = 0) -> int:
        """The exit code; prints to standard error why the work is incomplete."""
        if self._code is None:
            return usual
        print(f"photogram: {self._report.incomplete}; this is incomplete", file=sys.stderr)
        return self._code


async def run_verify(settings: Settings, *, sample: int | None = None, pause: float = 0, as_json: bool = False) -> int:
    """Prints what `verify` finds; returns 1 if there is anything, else 0."""
    report = Report()
    outcome = _Outcome(settings, report, as_json=as_json)
    async with open_prepared(settings) as sources:
        with outcome.watched() as watch:
            await verify(Walk(sources=sources, sample=sample, pause=pause, watch=watch), report)
    if as_json:
        print_json(report)
    else:
        print_findings(report.findings, report.found)
        pending = _numbers(report.pending.facts)
        print_line(f"looked at: {_numbers(report.checked) or 'nothing'} in {report.seconds} s")
        print_line(f"pending: {pending or 'nothing'}" + (f", for {report.pending.oldest_seconds} s" if pending else ""))
        print_line(f"queued: {_numbers(report.queues) or 'nothing'}")
        print_line(f"findings: {report.found}")
    return outcome.exit_code(FAILED if report.found else 0)


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)


async def run_repair(settings: Settings, *, sample: int | None = None, pause: float = 0, as_json: bool = False) -> int:
    """Prints what `repair` does; returns 1 if it leaves something, else 0."""
    pool = RenderPool(settings.render_processes, settings.render_timeout, settings.render_memory_mb)
    done = Repaired()
    outcome = _Outcome(settings, done, as_json=as_json)
    async with open_prepared(settings) as sources, pool:
        with outcome.watched() as watch:
            walk = Walk(sources=sources, sample=sample, pause=pause, watch=watch)
            await repair(Tools(sources=sources, pool=pool), walk, done)
    if as_json:
        print_json(done)
    else:
        for finding in done.repaired[:FINDINGS]:
            print_line(f"repaired  {finding_line(finding)}")
        print_findings(done.left, done.left_found)
        print_line(f"repaired: {done.repaired_found}; left: {done.left_found}; waiting for files: {done.waiting}")
    return outcome.exit_code(FAILED if done.left_found else 0)


async def run_rebuild(settings: Settings, whose: str, *, pause: float = 0, as_json: bool = False) -> int:
    """Rebuilds the feed of the user with this id, or with `all` every feed. Raises StartError for what is no id."""
    owner_id = None if whose == ALL else _user_id(whose)
    done = Rebuilt()
    outcome = _Outcome(settings, done, as_json=as_json)
    async with open_prepared(settings) as sources:
        with outcome.watched() as watch:
            walk = Walk(sources=sources, pause=pause, watch=watch)
            await rebuild_feeds(Tools(sources=sources), walk, owner_id, done)
    if as_json:
        print_json(done)
    else:
        print_line(f"feeds rebuilt: {done.feeds}; left to the workers: {done.waiting}; {done.seconds} s")
    return outcome.exit_code()


def _user_id(text: str) -> ObjectId:
    user_id = ObjectId(text) if ObjectId.is_valid(text) else expect_id(text, "User")
    if user_id is None:
        raise StartError(f"{text} is no user's id", exit_code=WRONG_USAGE)
    return user_id


async def run_gc(settings: Settings, *, min_age: float, dry_run: bool, as_json: bool) -> int:
    """Prints what `gc` removes. Raises StartError for a database without users."""
    gone, age = Collected(dry_run=dry_run), timedelta(seconds=min_age)
    outcome = _Outcome(settings, gone, as_json=as_json)
    async with open_prepared(settings) as sources:
        try:
            with outcome.watched() as watch:
                await collect(sources, min_age=age, dry_run=dry_run, watch=watch, gone=gone)
        except EmptyDatabaseError as error:
            raise StartError(str(error), exit_code=WRONG_USAGE) from error
    if as_json:
        print_json(gone)
    else:
        for kind, number in gone.removed.items():
            print_line(f"{'would remove' if dry_run else 'removed'} {kind}: {number}")
        print_line(f"{'nothing to remove, ' if not gone.removed else ''}{gone.seconds} s")
    return outcome.exit_code()
