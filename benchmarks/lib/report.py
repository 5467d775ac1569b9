"""How the benchmarks are paced and printed: interleaved rounds within a time limit, medians, tables."""

import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable


@dataclass
class Table:
    """Rows of text below a title; the first column is left-aligned, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def markdown(self) -> str:
        """The table as Markdown."""
        marks = ["---", *("---:" for _ in self.columns[1:])]
        lines = [" | ".join(cells) for cells in (self.columns, marks, *self.rows)]
        return "\n".join([f"**{self.title}**", "", *(f"| {line} |" for line in lines), ""])

    def rich(self) -> RichTable:
        """The table for a terminal."""
        table = RichTable(title=escape(self.title), title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(escape(column), justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(escape(cell) for cell in row))
        return table


def show(tables: Sequence[Table], packages: Sequence[str], *, markdown: bool) -> None:
    """Prints the tables and what they were measured with."""
    about = measured_with(packages)
    if markdown:
        print("\n".join([*(table.markdown() for table in tables), f"{about}."]))
        return
    console = Console()
    for table in tables:
        console.print(table.rich())
    console.print(about, style="dim", highlight=False)


def measured_with(packages: Sequence[str]) -> str:
    """When and on what this was measured, and how busy the machine was with it and everything else."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    today = datetime.now(UTC).date().isoformat()
    load = os.getloadavg()[0]
    return f"{today}, {os.cpu_count()} cores (load {load:.1f}), Python {platform.python_version()}, {versions}"


def rounds(limit: int, seconds: float) -> Iterator[int]:
    """Counts up to `limit` rounds; no round begins once `seconds` have passed, but there is always one."""
    end = time.monotonic() + seconds
    for number in range(limit):
        if number and time.monotonic() > end:
            return
        yield number


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return statistics.median(values)


def times(values: Sequence[float], bases: Sequence[float]) -> str:
    """How many times its base each value is: the median of the rounds' ratios, for what ran side by side."""
    return f"{median([value / base for value, base in zip(values, bases, strict=True)]):.2f} x"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all do not pass (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]
