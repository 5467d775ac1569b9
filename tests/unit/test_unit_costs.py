"""The file of unit costs: what a benchmark saves replaces its own entries, and names no path of this machine."""

import sys
from pathlib import Path

import pytest

from benchmarks.lib.unit_costs import command_line, read_unit_costs, save_unit_costs


def test_saved_measurement_replaces_its_own_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "costs.json"
    monkeypatch.setattr(sys, "argv", ["/here/benchmarks/writes.py", "--rounds", "3", "--save"])
    save_unit_costs({"like": {"api_ms": 1.23456}, "comment": {"api_ms": 2}}, file)
    save_unit_costs({"like": {"api_ms": 3}}, file)
    costs = read_unit_costs(file)
    assert costs.figure("like", "api_ms") == 3
    assert costs.figure("comment", "api_ms") == 2
    assert costs.measurements["like"].command == "python -m benchmarks.writes --rounds 3"
    assert list(tmp_path.iterdir()) == [file]


def test_path_of_this_machine_is_not_saved() -> None:
    command = command_line(["/here/benchmarks/product.py", "--before", "/home/somebody/older", "--rounds", "3"])
    assert command == "python -m benchmarks.product --before OLD --rounds 3"
