"""What a command says in one line, and its exit code, when it cannot do its work."""

import sys
from collections.abc import Callable

from pydantic import ValidationError
from pydantic_settings import SettingsError

from deploy.cli.options import Origin
from deploy.local.errors import StartError

USAGE, STOPPED = 2, 130


def exit_code_of(program: Callable[[], None]) -> int:
    """Runs a command; what is wrong with settings or servers is one line on standard error.

    Raises what is our own fault.
    """
    try:
        program()
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:  # noqa: BLE001  `_judged` raises again what it does not expect
        code, lines = _judged(error)
        for line in lines:
            print(f"photogram: {line}", file=sys.stderr)
        return code
    return 0


def _judged(error: Exception) -> tuple[int, list[str]]:
    """The exit code and what to say. Raises the error again if it is none of the expected ones."""
    match error:
        case ValidationError():
            return USAGE, [_named(problem["loc"][:1], problem["msg"]) for problem in error.errors()]
        case SettingsError() | FileNotFoundError():
            return USAGE, [str(error)]
        case StartError():
            return error.exit_code, [str(error)]
    from deploy.cli.endings import why_it_ended  # noqa: PLC0415  not needed for --help

    ended = None if Origin.in_force is None else why_it_ended(error, Origin.in_force)
    if ended is None:
        raise error
    reason, code = ended
    return code, [reason]


def _named(location: tuple[int | str, ...], message: str) -> str:
    name = "".join(f"PHOTOGRAM_{str(part).upper()}: " for part in location)
    return f"{name}{message.removeprefix('Value error, ')}"
