"""How a command ends when it cannot do its work: one line on standard error, and an exit code."""

import sys
from collections.abc import Callable

from pydantic import ValidationError
from pydantic_settings import SettingsError

from config import Settings
from deploy.cli.settings_source import SettingsSource
from deploy.local.errors import StartError

FAILED, WRONG_USAGE, UNREACHED, INTERRUPTED = 1, 2, 3, 130


def exit_code_of(program: Callable[[], None]) -> int:
    """Runs a command; prints in one line what is wrong with settings or servers. Raises the errors of our own code."""
    try:
        program()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  `_explain` raises the unexpected ones again
        code, lines = _explain(error)
        for line in lines:
            print(f"photogram: {line}", file=sys.stderr)
        return code
    return 0


def _explain(error: Exception) -> tuple[int, list[str]]:
    """The exit code and what to print. Raises an unexpected error again."""
    match error:
        case ValidationError():
            return WRONG_USAGE, [_named(problem["loc"][:1], problem["msg"]) for problem in error.errors()]
        case SettingsError() | FileNotFoundError():
            return WRONG_USAGE, [str(error)]
        case StartError():
            return error.exit_code, [str(error)]
    explained = None if SettingsSource.in_force is None else explain_server_error(error, SettingsSource.in_force)
    if explained is None:
        raise error
    line, code = explained
    return code, [line]


def _named(location: tuple[int | str, ...], message: str) -> str:
    name = "".join(f"PHOTOGRAM_{str(part).upper()}: " for part in location)
    return f"{name}{message.removeprefix('Value error, ')}"


def explain_server_error(error: BaseException, settings: Settings) -> tuple[str, int] | None:
    """One line and an exit code for a server that does not answer, or refuses something; None for any other error."""
    from datasources.outages import describe_outage, describe_refusal, is_outage  # noqa: PLC0415  not for --help

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if (line := describe_refusal(error, settings)) is not None:
        return line, WRONG_USAGE
    return (describe_outage(error, settings), UNREACHED) if is_outage(error) else None
