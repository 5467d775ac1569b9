"""Settings as environment variables, from which a child process reads them."""

import json
import os

from pydantic import BaseModel, SecretStr

from config import Settings

PREFIX = "PHOTOGRAM_"


def environment(settings: Settings) -> dict[str, str]:
    """The settings as `PHOTOGRAM_<NAME>`, which read back as equal ones. None is left out, or empty if not the default.

    Secrets are in the clear: only for a child, or a file that only its owner may read. Never for a log.
    """
    fields = type(settings).model_fields
    values = {name: getattr(settings, name) for name in fields}
    given = {name: value for name, value in values.items() if value is not None or fields[name].default is not None}
    return {PREFIX + name.upper(): _text(value) for name, value in given.items()}


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with its Photogram settings replaced by `settings`."""
    rest = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return rest | environment(settings)


def with_metrics_port(settings: Settings, number: int) -> Settings:
    """The settings of process `number`, from 0 on, of those that are started together: each has a port for metrics."""
    if settings.metrics_port is None:
        return settings
    return settings.model_copy(update={"metrics_port": settings.metrics_port + number})


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple | list | dict | bool):
        return json.dumps(value, default=_item)
    return "" if value is None else str(value)


def _item(value: object) -> object:
    """An item of a list as JSON has it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"a setting holds a {type(value).__name__}")
