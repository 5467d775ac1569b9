"""What one action costs, as measured: `benchmarks/unit_costs.json`, written by benchmarks and read by the model."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

FILE = Path(__file__).parents[1] / "unit_costs.json"

Save = Annotated[
    bool, typer.Option("--save", help="Write what was measured to benchmarks/unit_costs.json, for the capacity model.")
]


class Measurement(msgspec.Struct, frozen=True):
    """Figures of one action, whose names end in their unit, and how they were measured."""

    figures: dict[str, float]
    command: str
    date: str
    load: float  # of the machine, when it was measured


class UnitCosts(msgspec.Struct, frozen=True):
    """All measurements, by the name of the action."""

    measurements: dict[str, Measurement]

    def figure(self, action: str, name: str) -> float:
        """One figure. Raises KeyError for one that was never measured."""
        return self.measurements[action].figures[name]


def read_unit_costs(file: Path = FILE) -> UnitCosts:
    """The measurements of a file. Raises `msgspec.ValidationError` for another format."""
    return UnitCosts(msgspec.json.decode(file.read_bytes(), type=dict[str, Measurement]))


def save_unit_costs(measured: Mapping[str, Mapping[str, float]], file: Path = FILE) -> None:
    """Replaces the measurements of these actions; the others stay. The file appears when it is whole."""
    date, load = datetime.now(UTC).date().isoformat(), round(os.getloadavg()[0], 1)
    known = read_unit_costs(file).measurements if file.exists() else {}
    for action, figures in measured.items():
        shown = {name: float(f"{value:.4g}") for name, value in figures.items()}
        known[action] = Measurement(shown, command_line(sys.argv), date, load)
    unfinished = file.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(known.items()))), indent=2) + b"\n")
    unfinished.replace(file)


def command_line(arguments: list[str]) -> str:
    """How this command is called from the project's folder; a path of this machine is OLD, as in the README."""
    options = ["OLD" if Path(each).is_absolute() else each for each in arguments[1:] if each != "--save"]
    return " ".join(["python -m", f"benchmarks.{Path(arguments[0]).stem}", *options])
