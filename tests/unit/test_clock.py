"""How a process takes over the database's time: by no more than is certain, and kept by the monotonic clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from datasources.mongo import clock
from datasources.mongo.client import Client

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Machine:
    """A wall clock, a monotonic clock, and a database that answers with its own time after so many seconds."""

    def __init__(self) -> None:
        self.wall, self.ticks, self.answers_after = NOON, 1000.0, 0.2
        self.theirs = NOON + timedelta(seconds=0.1)

    def advance(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds

    @property
    def client(self) -> Client:
        async def command(_name: str) -> dict[str, Any]:
            self.advance(self.answers_after)
            return {"localTime": self.theirs.replace(tzinfo=None)}

        return cast("Client", SimpleNamespace(admin=SimpleNamespace(command=command)))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock, "_anchor", clock._Anchor())
    monkeypatch.setattr(clock, "_wall", lambda: machine.wall)
    monkeypatch.setattr(clock, "ticks", lambda: machine.ticks)
    return machine


async def test_a_clock_that_may_be_right_is_left_alone(machine: Machine) -> None:
    await clock.measure(machine.client)
    assert clock.now() == machine.wall


@pytest.mark.parametrize("hours", [-48, -0.001, 0.001, 48])
async def test_a_clock_that_is_off_is_put_right_to_the_round_trip(machine: Machine, hours: float) -> None:
    machine.theirs += timedelta(hours=hours)
    await clock.measure(machine.client)
    true = machine.wall + timedelta(hours=hours)
    assert abs(clock.now() - true) <= timedelta(seconds=machine.answers_after)
    machine.advance(10)
    assert abs(clock.now() - true - timedelta(seconds=10)) <= timedelta(seconds=machine.answers_after)


async def test_a_clock_that_is_set_later_moves_nothing(machine: Machine) -> None:
    await clock.measure(machine.client)
    before = clock.now()
    machine.wall -= timedelta(hours=48)
    machine.ticks += 1
    assert clock.now() == before + timedelta(seconds=1)


async def test_before_the_first_measurement_the_machines_own_clock_counts(machine: Machine) -> None:
    assert clock.now() == NOON


async def test_an_answer_that_takes_too_long_changes_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_name: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(clock, "MEASURE_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        await clock.measure(cast("Client", SimpleNamespace(admin=SimpleNamespace(command=never))))
    assert clock.now() == NOON


async def test_ids_are_ordered_by_the_databases_time(machine: Machine) -> None:
    machine.theirs += timedelta(hours=48)
    await clock.measure(machine.client)
    ids = [clock.new_id() for _ in range(100)]
    assert ids[0].generation_time == clock.now().replace(microsecond=0)
    assert sorted(set(ids)) == ids
