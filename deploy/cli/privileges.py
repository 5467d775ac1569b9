"""The rights that a process runs with."""

import os

from config import Settings
from deploy.cli.exit_codes import WRONG_USAGE
from deploy.local.errors import StartError


def refuse_root(settings: Settings) -> None:
    """Raises StartError in production, for the superuser, unless the settings allow it.

    Requests and images come from strangers: who breaks into a process should find few rights there.
    """
    if settings.environment == "production" and os.geteuid() == 0 and not settings.allow_root:
        message = (
            "production does not run as root: start it as another user (`USER` of a container, `User=` of a service), "
            "or set PHOTOGRAM_ALLOW_ROOT=true"
        )
        raise StartError(message, exit_code=WRONG_USAGE)
