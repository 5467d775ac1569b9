"""What any number of users needs, and what bursts do, from measured unit costs: `python -m benchmarks.capacity`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.capacity.assumptions import read_prices
from benchmarks.capacity.bursts import large_fan_outs, like_bursts, upload_bursts
from benchmarks.capacity.model import Model
from benchmarks.capacity.plots import burst_plots, draw
from benchmarks.capacity.tables import burst_tables, plan_tables
from benchmarks.lib.report import Table
from benchmarks.lib.unit_costs import read_unit_costs

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"


def main(
    write: Annotated[bool, typer.Option("--write", help="Put the tables into docs/scaling.md.")] = False,
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw docs/images/burst-*.svg; needs requirements-bench.lock.")
    ] = False,
) -> None:
    """Prints the tables of docs/scaling.md; with options, writes them and draws the plots."""
    model = Model(read_unit_costs(), read_prices())
    bursts = upload_bursts(model), like_bursts(model), large_fan_outs(model)
    tables = {**plan_tables(model), **burst_tables(*bursts)}
    for table in tables.values():
        Console().print(table.rich())
    if write:
        DOCUMENT.write_text(with_tables(DOCUMENT.read_text(), tables))
    if plots:
        draw(burst_plots(*bursts))


def with_tables(text: str, tables: Mapping[str, Table]) -> str:
    """The document with each table in its place: between `<!-- capacity: NAME -->` and the next comment.

    Raises ValueError for a table that has no place.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- capacity: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = place.findall(text)
        if len(found) != 1:
            raise ValueError(f"{DOCUMENT.name} has no place for {name}")
        start, end = found[0]
        text = place.sub(f"{start}\n{table.markdown()}\n{end}".replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    typer.run(main)
