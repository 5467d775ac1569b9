"""How a command ends when a server is away, or refuses something: one line, a code, and what it had done by then."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from config import Settings
from datasources.outages import describe_outage, describe_refusal, is_outage

REFUSED, UNREACHED = 2, 3  # exit codes


def why_it_ended(error: BaseException, settings: Settings) -> tuple[str, int] | None:
    """One line and an exit code for a server that is away, or refuses something; None for an error of our own."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if (reason := describe_refusal(error, settings)) is not None:
        return reason, REFUSED
    return (describe_outage(error, settings), UNREACHED) if is_outage(error) else None


class Report(Protocol):
    """What a piece of work has done; `incomplete` says why it ended early."""

    incomplete: str | None


class Ended:
    """How a piece of work ended: what it had done when a server went away is said all the same."""

    def __init__(self, settings: Settings, about: Report) -> None:
        self._settings = settings
        self._about = about
        self._code: int | None = None

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Notes in the report why the work in the block ended early; raises what is no server's doing."""
        try:
            yield
        except Exception as error:
            why = why_it_ended(error, self._settings)
            if why is None:
                raise
            self._about.incomplete, self._code = why

    def code(self, usual: int) -> int:
        """The exit code; says on standard error what is lacking."""
        if self._code is None:
            return usual
        print(f"photogram: {self._about.incomplete}; this is incomplete", file=sys.stderr)
        return self._code
