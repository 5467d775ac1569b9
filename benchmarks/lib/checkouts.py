"""The API of this checkout and of others beside each other, over the same servers."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.ports import LOOPBACK, listen
from tests.support.api_process import MeasuredProcess
from tests.support.stack import ROOT

Before = Annotated[
    Path | None, typer.Option("--before", help="An older checkout with its `.venv`, to run beside this one.")
]
STOP_SECONDS = 60.0
LAUNCHER = ("-m", "deploy.cli")  # arguments of the interpreter, before those of the command line


def compared(before: Path | None) -> dict[str, Path]:
    """This checkout, and the older one if there is one."""
    return {"now": ROOT} if before is None else {"now": ROOT, "before": before.resolve()}


class CheckoutApi(MeasuredProcess):
    """An API process of one checkout, and the settings that name its own database."""

    def __init__(self, settings: Settings, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process, settings.port)
        self.settings = settings


@contextlib.contextmanager
def checkout_api(
    name: str,
    checkout: Path,
    settings: Settings,
    *,
    database: str | None = None,
    variables: Mapping[str, str] | None = None,
    launcher: Sequence[str] = LAUNCHER,
) -> Iterator[CheckoutApi]:
    """An API process of a checkout; logs as in production, and nobody reads them.

    Its keys in Redis are its own, and so is its database unless one is named. `variables` are settings in the
    environment, which an older checkout may not know.
    """
    with listen(LOOPBACK, 0) as listener, Path(os.devnull).open("wb") as nowhere:
        own = {"mongo_database": database or name, "key_prefix": f"{name}:"}
        at = {"host": LOOPBACK, "port": listener.getsockname()[1]}
        logged = {"allow_root": True, "log_level": "INFO", "log_format": "json"}
        served = settings.model_copy(update=own | at | logged)
        process = subprocess.Popen(
            (checkout / ".venv/bin/python", *launcher, "serve", "--listener", str(listener.fileno())),
            cwd=checkout, env=child_environment(served) | dict(variables or {}),
            pass_fds=[listener.fileno()], stderr=nowhere, stdout=nowhere,
        )  # fmt: skip
    try:
        yield CheckoutApi(served, process)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
