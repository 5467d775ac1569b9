"""How a maintenance command is run: with the settings, to its exit code."""

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import typer

from config import Settings


def run_maintenance(context: typer.Context, command: Callable[[Settings], Coroutine[Any, Any, int]]) -> NoReturn:
    """Runs a maintenance command with the settings, and exits with its code."""
    from deploy.cli import maintenance_reports  # noqa: PLC0415

    settings = context.obj.settings()
    raise typer.Exit(maintenance_reports.run(settings, command(settings)))
