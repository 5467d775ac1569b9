"""Where a command's settings come from: the environment, a file, or what `photogram run` has running here."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from config import Settings, read_settings
from deploy.cli.options import DATA_DIR_VARIABLE, DEFAULT_DATA_DIR


@dataclass(frozen=True)
class SettingsSource:
    """The environment, and below it in rank the file of `--config`."""

    file: Path | None
    in_force: ClassVar[Settings | None] = None
    """The settings that this process runs with, once they were read."""

    def settings(self, **options: Any) -> Settings:
        """The settings, with those options in place that are not None.

        Where they name no server, those of the stack that `photogram run` has running in the data folder. Raises
        `pydantic.ValidationError` if they make no sense.
        """
        from deploy.local.servers import running_stack  # noqa: PLC0415

        settings = self.own_settings(**options)
        data_dir = Path(os.environ.get(DATA_DIR_VARIABLE, DEFAULT_DATA_DIR))
        file = None if self.file else running_stack(data_dir, settings)
        if file is None:
            return settings
        print(f"photogram: using what runs in {file.parent}", file=sys.stderr)
        return SettingsSource(file).own_settings(**options)

    def own_settings(self, **options: Any) -> Settings:
        """As `settings`, whatever is running."""
        chosen = {name: value for name, value in options.items() if value is not None}
        SettingsSource.in_force = settings = read_settings(self.file).model_copy(update=chosen)
        return settings
