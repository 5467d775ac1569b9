"""What the maintenance commands say: lines and a progress bar for people, one JSON document for machines."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import msgspec
from bson import ObjectId
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from config import Settings
from datasources.jobs.dead_letters import DeadLetter, MalformedLetter
from datasources.mongo import clock
from datasources.mongo.indexes import expect_indexes
from datasources.sources import Sources, open_sources
from datasources.telemetry.logs import configure_logging
from deploy.cli.endings import Ended
from deploy.local.errors import StartError
from domain.ids import expect_id
from domain.jobs import Fact, Job, Task
from workers.maintenance.checks.check import Finding
from workers.maintenance.gc import Collected, EmptyDatabaseError, collect
from workers.maintenance.rebuild_feeds import Rebuilt, rebuild_feeds
from workers.maintenance.repair import Repaired, repair
from workers.maintenance.verify import Report, verify
from workers.maintenance.walk import Walk, Watch
from workers.rendering.pool import RenderPool
from workers.runtime.handler import Tools

MALFORMED = "malformed"  # stands where a dead letter names its effect
ALL = "all"
INTERRUPTED = 130
NAMED = 10  # of the things in one finding
SHOWN = 200  # findings on a screen; --json has them all
out = Console(highlight=False, soft_wrap=True)


def run(settings: Settings, command: Coroutine[Any, Any, int]) -> int:
    """Runs one of the commands below; its logs go to standard error, so that standard output has the answer alone.

    Stopped by Ctrl-C it closes everything and says so.
    """
    configure_logging(settings.log_format, "WARNING")
    try:
        return asyncio.run(command)
    except KeyboardInterrupt:
        print("photogram: stopped; running it again does the rest", file=sys.stderr)
        return INTERRUPTED


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Sources]:
    """Sources over a database that has its indexes, without which nothing here works. Raises UnusableDatabaseError."""
    async with open_sources(settings) as sources:
        await expect_indexes(sources.database)
        yield sources


async def run_verify(settings: Settings, *, sample: int | None = None, pause: float = 0, as_json: bool = False) -> int:
    """Runs `verify` and says what it found; returns 1 if there is anything, else 0."""
    report = Report()
    ended = Ended(settings, report)
    async with _opened(settings) as sources:
        with ended.noted(), _progress(as_json=as_json) as watch:
            await verify(Walk(sources=sources, sample=sample, pause=pause, watch=watch), report)
    if as_json:
        _print_json(report)
    else:
        _print_findings(report.findings, report.found)
        looked = ", ".join(f"{number} {name}" for name, number in report.checked.items())
        pending = ", ".join(f"{number} {name}" for name, number in report.pending.facts.items() if number)
        queued = ", ".join(f"{number} {name}" for name, number in report.queues.items() if number)
        _say(f"looked at: {looked or 'nothing'} in {report.seconds} s")
        _say(f"owing effects: {pending or 'nothing'}" + (f", for {report.pending.oldest_seconds} s" if pending else ""))
        _say(f"in the queues: {queued or 'nothing'}")
        _say(f"findings: {report.found}")
    return ended.code(1 if report.found else 0)


async def run_repair(settings: Settings, *, sample: int | None = None, pause: float = 0, as_json: bool = False) -> int:
    """Runs `repair` and says what it did; returns 1 if something is left that it cannot set right, else 0."""
    pool = RenderPool(settings.render_processes, settings.render_timeout, settings.render_memory_mb)
    done = Repaired()
    ended = Ended(settings, done)
    async with _opened(settings) as sources, pool:
        with ended.noted(), _progress(as_json=as_json) as watch:
            walk = Walk(sources=sources, sample=sample, pause=pause, watch=watch)
            await repair(Tools(sources=sources, pool=pool), walk, done)
    if as_json:
        _print_json(done)
    else:
        for finding in done.repaired[:SHOWN]:
            _say(f"set right  {_line(finding)}")
        _print_findings(done.left, done.left_found)
        _say(f"set right: {done.repaired_found}; left: {done.left_found}; waiting for files: {done.waiting}")
    return ended.code(1 if done.left_found else 0)


async def run_rebuild(settings: Settings, whose: str, *, pause: float = 0, as_json: bool = False) -> int:
    """Makes the feed of a user anew, given by id, or `all`, and says how many. Raises StartError for what is no id."""
    owner_id = None if whose == ALL else _user_id(whose)
    done = Rebuilt()
    ended = Ended(settings, done)
    async with _opened(settings) as sources:
        with ended.noted(), _progress(as_json=as_json) as watch:
            walk = Walk(sources=sources, pause=pause, watch=watch)
            await rebuild_feeds(Tools(sources=sources), walk, owner_id, done)
    if as_json:
        _print_json(done)
    else:
        _say(f"feeds made anew: {done.feeds}; left to the workers: {done.waiting}; {done.seconds} s")
    return ended.code(0)


def _user_id(text: str) -> ObjectId:
    user_id = ObjectId(text) if ObjectId.is_valid(text) else expect_id(text, "User")
    if user_id is None:
        raise StartError(f"{text} is no user's id", exit_code=2)
    return user_id


async def run_gc(settings: Settings, *, min_age: float, dry_run: bool, as_json: bool) -> int:
    """Runs `gc` and says what went. Raises StartError for a database without users."""
    gone, age = Collected(dry_run=dry_run), timedelta(seconds=min_age)
    ended = Ended(settings, gone)
    async with _opened(settings) as sources:
        try:
            with ended.noted(), _progress(as_json=as_json) as watch:
                await collect(sources, min_age=age, dry_run=dry_run, watch=watch, gone=gone)
        except EmptyDatabaseError as error:
            raise StartError(str(error), exit_code=2) from error
    if as_json:
        _print_json(gone)
    else:
        for kind, number in gone.removed.items():
            _say(f"{'would remove' if dry_run else 'removed'} {kind}: {number}")
        _say(f"{'nothing to remove, ' if not gone.removed else ''}{gone.seconds} s")
    return ended.code(0)


async def run_dlq_list(settings: Settings, *, as_json: bool) -> int:
    """Lists the dead letters, the latest first; one JSON document a line with `as_json`."""
    async with _opened(settings) as sources:
        async for letter in sources.dead_letters.all_dead():
            _say(_encoded(letter) if as_json else _letter_line(letter))
        async for malformed in sources.dead_letters.all_malformed():
            _say(_encoded(_as_text(malformed)) if as_json else _malformed_line(malformed))
    return 0


async def run_dlq_redrive(settings: Settings, work: tuple[str, str, str] | None, *, as_json: bool = False) -> int:
    """Lets one dead letter, or with None all of them, be tried again. Raises StartError if there is no such letter.

    A malformed message is put back on its queue: a newer version may understand it.
    """
    number = 0
    async with _opened(settings) as sources:
        if work is None or work[0] != MALFORMED:
            async for letter in _chosen(sources, work):
                await sources.dead_letters.redrive(letter.job, clock.now())
                await sources.job_queue.enqueue([letter.job])
                number += 1
        for malformed in [one async for one in sources.dead_letters.all_malformed()]:
            if work in (None, (MALFORMED, malformed.worker, malformed.id)):
                await sources.job_queue.put_back(malformed.worker, malformed.fields)
                await sources.dead_letters.delete_malformed(malformed)
                number += 1
    if work is not None and not number:
        raise StartError(f"there is no dead letter {' '.join(work)}")
    _say(_encoded({"redriven": number}) if as_json else f"redriven: {number}")
    return 0


async def _chosen(sources: Sources, work: tuple[str, str, str] | None) -> AsyncIterator[DeadLetter]:
    if work is not None:
        task, fact, key = work
        try:
            job = Job(Task(task), Fact(fact), key)
        except ValueError as error:
            raise StartError(str(error), exit_code=2) from error
    for letter in [letter async for letter in sources.dead_letters.all_dead()]:
        if work is None or letter.job == job:
            yield letter


@contextlib.contextmanager
def _progress(*, as_json: bool) -> Iterator[Watch]:
    """A bar for each stage on a terminal's standard error, which leaves standard output to what was found."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=as_json or not sys.stderr.isatty()) as progress:

        def watch(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done, total=total)

        yield watch


def _print_findings(findings: list[Finding], found: int) -> None:
    for finding in findings[:SHOWN]:
        _say(_line(finding))
    if found > SHOWN:
        _say(f"... and {found - SHOWN} more; --json lists them")


def _line(finding: Finding) -> str:
    found, expected = _shown(finding.found), _shown(finding.expected)
    says_nothing = finding.expected is None or found == expected
    values = "" if says_nothing else f": found {found}, expected {expected}"
    return f"{finding.kind} {finding.id}{values}: {finding.why}"


def _shown(value: Any) -> str:
    """A value of a finding as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        more = f" and {len(value) - NAMED} more" if len(value) > NAMED else ""
        return ", ".join(map(str, value[:NAMED])) + more or "nothing"
    return "nothing" if value is None else str(value)


def _letter_line(letter: DeadLetter) -> str:
    job = letter.job
    return (
        f"{job.task.value} {job.fact.value} {job.key}"
        f"  {letter.attempts} attempts, the last {letter.last_at.isoformat(timespec='seconds')}: {letter.reason}"
    )


def _malformed_line(letter: MalformedLetter) -> str:
    said = " ".join(f"{name}={value}" for name, value in _as_text(letter)["fields"].items())
    last = letter.last_at.isoformat(timespec="seconds")
    return f"{MALFORMED} {letter.worker} {letter.id}  {letter.times} times, the last {last}: {said}"


def _as_text(letter: MalformedLetter) -> dict[str, Any]:
    """A letter whose fields are text; bytes that are none come as escapes, and so do line ends."""
    text = {_printable(name): _printable(value) for name, value in letter.fields.items()}
    return {**msgspec.structs.asdict(letter), "fields": text}


def _printable(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace").translate({code: f"\\x{code:02x}" for code in (*range(32), 127)})


def _print_json(value: Any) -> None:
    _say(_encoded(value))


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _say(text: str) -> None:
    out.print(escape(text), soft_wrap=True)
