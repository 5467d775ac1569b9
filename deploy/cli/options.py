"""What the commands have in common: their options, and where their settings come from."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from config import Settings, read_settings

DEFAULT_DATA_DIR, DATA_DIR_VARIABLE = Path(".photogram"), "PHOTOGRAM_DATA_DIR"

Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; default PHOTOGRAM_HOST or 127.0.0.1.")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, metavar="NUMBER", help="Port; default PHOTOGRAM_PORT or 8000; 0: any free one."),
]
DataDir = Annotated[
    Path,
    typer.Option(envvar=DATA_DIR_VARIABLE, metavar="FOLDER", help="Folder of the embedded servers' data and all logs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
Sample = Annotated[
    int | None, typer.Option(min=1, metavar="NUMBER", help="Look only at this many random things of each kind.")
]
Pause = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Rest so many seconds after each 200 things looked at.")
]
EXIT_CODES = "Exit codes: 0 {0}, 1 {1}, 2 wrong usage or settings, 3 a server cannot be reached, 130 stopped by Ctrl-C."


@dataclass(frozen=True)
class Origin:
    """Where the settings come from."""

    file: Path | None
    in_force: ClassVar[Settings | None] = None
    """The settings that this process runs with, once they were read."""

    def settings(self, **given: Any) -> Settings:
        """The settings, with those of `given` that are not None in place.

        Where they name no server, those of the stack that `photogram run` has running in the data folder. Ends the
        program if they make no sense.
        """
        from deploy.local.servers import running_stack  # noqa: PLC0415

        settings = self.own_settings(**given)
        file = None if self.file else running_stack(data_dir(), settings)
        if file is None:
            return settings
        print(f"photogram: using what runs in {file.parent}", file=sys.stderr)
        return Origin(file).own_settings(**given)

    def own_settings(self, **given: Any) -> Settings:
        """As `settings`, but whatever runs already does not matter."""
        chosen = {name: value for name, value in given.items() if value is not None}
        Origin.in_force = settings = read_settings(self.file).model_copy(update=chosen)
        return settings


def data_dir() -> Path:
    """The folder of `photogram run`, where no option says otherwise."""
    return Path(os.environ.get(DATA_DIR_VARIABLE, DEFAULT_DATA_DIR))
