"""The demo of `photogram run` and `photogram seed`. It needs the extra `demo`."""

from importlib.util import find_spec

from deploy.local.errors import StartError


def require_extra() -> None:
    """Raises StartError (code 2) where the packages of the extra `demo` are not installed."""
    if find_spec("httpx2") is None:
        raise StartError("the demo needs the extra `demo`: pip install 'photogram[demo]'", exit_code=2)
