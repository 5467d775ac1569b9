"""Why something could not be started, in words meant for the person at the terminal."""


class StartError(Exception):
    """One line that says what is wrong and what to do; the command line prints it without a traceback and exits."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class PortTakenError(StartError):
    """A server found a port taken that was free when it was chosen: another start, with other ports, may succeed."""
