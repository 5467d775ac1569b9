"""The commands `dlq list` and `dlq redrive`: each returns its exit code."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from config import Settings
from datasources.jobs.dead_letters import DeadLetter, MalformedLetter
from datasources.jobs.opening import redrive_job_queue
from datasources.mongo import clock
from datasources.sources import Sources
from deploy.cli.exit_codes import WRONG_USAGE
from deploy.cli.maintenance_reports import open_prepared
from deploy.cli.output import print_json, print_line
from deploy.local.errors import StartError
from domain.jobs import Fact, Job, Task
from workers.maintenance.pending import name_of

MALFORMED = "malformed"  # stands in place of a task's name
Name = tuple[str, str, str]  # of a letter: task, fact and key; or `malformed`, worker and id


async def run_list(settings: Settings, *, as_json: bool) -> int:
    """Prints the dead letters, the latest first; one JSON document a line with `as_json`."""
    async with open_prepared(settings) as sources:
        async for letter in sources.dead_letters.all_dead():
            print_json(msgspec.structs.asdict(letter)) if as_json else print_line(_letter_line(letter))
        async for malformed in sources.dead_letters.all_malformed():
            print_json(_as_text(malformed)) if as_json else print_line(_malformed_line(malformed))
    return 0


async def run_redrive(settings: Settings, name: Name | None, *, as_json: bool = False) -> int:
    """Has one dead letter, or with None all of them and all that SQS has set aside, tried again.

    Raises StartError if there is no such letter.

    A malformed message goes back to its queue: a newer version may understand it.
    """
    number = 0
    async with open_prepared(settings) as sources:
        if name is None or name[0] != MALFORMED:
            async for letter in _find(sources, name):
                await sources.dead_letters.redrive(letter.job, clock.now())
                await sources.job_queue.enqueue([letter.job])
                number += 1
        for malformed in [letter async for letter in sources.dead_letters.all_malformed()]:
            if name in (None, (MALFORMED, malformed.worker, malformed.id)):
                await sources.job_queue.put_back(malformed.worker, malformed.fields)
                await sources.dead_letters.delete_malformed(malformed)
                number += 1
    number += await redrive_job_queue(settings) if name is None else 0
    if name is not None and not number:
        raise StartError(f"there is no dead letter {' '.join(name)}")
    print_json({"redriven": number}) if as_json else print_line(f"redriven: {number}")
    return 0


async def _find(sources: Sources, name: Name | None) -> AsyncIterator[DeadLetter]:
    if name is not None:
        task, fact, key = name
        try:
            job = Job(Task(task), Fact(fact), key)
        except ValueError as error:
            raise StartError(str(error), exit_code=WRONG_USAGE) from error
    for letter in [letter async for letter in sources.dead_letters.all_dead()]:
        if name is None or letter.job == job:
            yield letter


def _letter_line(letter: DeadLetter) -> str:
    last = letter.last_at.isoformat(timespec="seconds")
    return f"{name_of(letter.job)}  {letter.attempts} attempts, the last {last}: {letter.reason}"


def _malformed_line(letter: MalformedLetter) -> str:
    fields = " ".join(f"{name}={value}" for name, value in _as_text(letter)["fields"].items())
    last = letter.last_at.isoformat(timespec="seconds")
    return f"{MALFORMED} {letter.worker} {letter.id}  {letter.times} times, the last {last}: {fields}"


def _as_text(letter: MalformedLetter) -> dict[str, Any]:
    """A letter whose fields are text; bytes that are not, and line ends, become escapes."""
    text = {_printable(name): _printable(value) for name, value in letter.fields.items()}
    return {**msgspec.structs.asdict(letter), "fields": text}


def _printable(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace").translate({code: f"\\x{code:02x}" for code in (*range(32), 127)})
