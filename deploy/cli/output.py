"""What maintenance commands print: lines for people or JSON for machines, and progress bars on a terminal."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from workers.maintenance.checks.check import Finding
from workers.maintenance.walk import Watch

VALUES = 10  # of the list in one finding
FINDINGS = 200  # on a screen; --json has them all
out = Console(highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """Prints a line to standard output as it is."""
    out.print(escape(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Prints one JSON document, as a line."""
    print_line(msgspec.json.encode(value).decode())


def print_findings(findings: Sequence[Finding], total: int) -> None:
    """Prints the first findings, and how many more there are."""
    for finding in findings[:FINDINGS]:
        print_line(finding_line(finding))
    if total > FINDINGS:
        print_line(f"... and {total - FINDINGS} more; --json lists them")


def finding_line(finding: Finding) -> str:
    """A finding for people."""
    found, expected = _to_text(finding.found), _to_text(finding.expected)
    has_values = finding.expected is not None and found != expected
    values = f": found {found}, expected {expected}" if has_values else ""
    return f"{finding.kind} {finding.id}{values}: {finding.why}"


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        more = f" and {len(value) - VALUES} more" if len(value) > VALUES else ""
        return ", ".join(map(str, value[:VALUES])) + more or "nothing"
    return "nothing" if value is None else str(value)


@contextlib.contextmanager
def progress_bars(*, as_json: bool) -> Iterator[Watch]:
    """A bar for each stage, on standard error and only if that is a terminal and the output is for people."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=as_json or not sys.stderr.isatty()) as progress:

        def watch(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=total)
            progress.update(bars[stage], completed=done, total=total)

        yield watch
