"""Hands settings over to a child process, as the environment variables that it reads them from."""

import json
import os

from pydantic import SecretStr

from config import Settings

PREFIX = "PHOTOGRAM_"


def environment(settings: Settings) -> dict[str, str]:
    """The settings as `PHOTOGRAM_<NAME>`; reading them back gives equal ones. None is left out or, where the default
    is something else, empty.

    Secrets are in it in the clear: hand it to a child or to a file that only the owner may read, never to a log.
    """
    fields = type(settings).model_fields
    values = {name: getattr(settings, name) for name in fields}
    notified = {name: value for name, value in values.items() if value is not None or fields[name].default is not None}
    return {PREFIX + name.upper(): _text(value) for name, value in notified.items()}


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with its Photogram settings replaced by `settings`."""
    rest = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return rest | environment(settings)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple | list | dict | bool):
        return json.dumps(value)
    return "" if value is None else str(value)
