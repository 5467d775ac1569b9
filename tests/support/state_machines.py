"""State machines of Hypothesis whose steps are coroutines on one event loop."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

Result = TypeVar("Result")


class AsyncMachine(RuleBasedStateMachine):
    """A state machine that runs coroutines. `has_failed` says whether one of them has raised."""

    def __init__(self, runner: asyncio.Runner) -> None:
        super().__init__()
        self._runner = runner
        self.has_failed = False

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine to its end."""
        try:
            return self._runner.run(work)
        except BaseException:
            self.has_failed = True
            raise


def player(
    create: Callable[[Counter[str]], AsyncMachine], seed: int, record_property: Callable[[str, object], None]
) -> Callable[..., None]:
    """A function that runs machines with options of Hypothesis and records their figures.

    Hypothesis prints a failure as a program that repeats it.
    """
    figures: Counter[str] = Counter()
    calm = hypothesis.settings(
        deadline=None, print_blob=True, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
    )

    def play(**options: Any) -> None:
        machine: Any = hypothesis.seed(seed)(lambda: create(figures))
        try:
            run_state_machine_as_test(machine, settings=hypothesis.settings(calm, **options))
        finally:
            for name, value in figures.items():
                record_property(name, value)

    return play
