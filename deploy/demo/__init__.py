"""The demo of `photogram run` and `photogram seed`. It needs the extra `demo`."""

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from config import Settings
from deploy.local.errors import StartError

if TYPE_CHECKING:
    from deploy.demo.seed import DemoLogin


def prepare_demo(settings: Settings, progress: Callable[[str], None]) -> "DemoLogin":
    """Makes what is missing of the demo. Raises StartError (code 2) without the packages of the extra `demo`."""
    if find_spec("httpx2") is None:
        raise StartError("the demo needs the extra `demo`: pip install 'photogram[demo]'", exit_code=2)
    from deploy.demo.seed import seed  # noqa: PLC0415  it needs the extra

    return asyncio.run(seed(settings, progress))
