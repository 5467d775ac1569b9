"""Probes for whoever runs the process: `/livez` says that it lives, `/readyz` that it should get requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from resolvers.transport.drain import Drain

log = structlog.stdlib.get_logger(__name__)

Check = Callable[[], Awaitable[object]]

CHECK_TIMEOUT = 2.0
REMEMBERED = 1.0  # seconds; however many probes there are, the dependencies see one a second


class Health:
    """`checks` name what the process cannot serve without; one is well if it returns and does not raise, in time.

    `is_stuck` tells that this process will not get well again by itself.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        drain: Drain,
        *,
        is_stuck: Callable[[], bool] = lambda: False,
        timeout: float = CHECK_TIMEOUT,
    ) -> None:
        self._checks = dict(checks)
        self._drain = drain
        self._is_stuck = is_stuck
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._wells: dict[str, bool] = {}

    async def livez(self, _request: Request) -> Response:
        """Asks nothing of the dependencies, for a new process would not bring them back; 503 if it would help."""
        alive = not self._is_stuck()
        return _json({"alive": alive}, 200 if alive else 503)

    async def readyz(self, _request: Request) -> Response:
        """503 while draining or while a check fails."""
        wells = await self._look()
        ready = all(wells.values()) and not self._drain.begun
        checks = [{"name": name, "ok": well} for name, well in wells.items()]
        return _json({"ready": ready, "draining": self._drain.begun, "checks": checks}, 200 if ready else 503)

    async def _look(self) -> dict[str, bool]:
        async with self._lock:
            if time.monotonic() - self._checked_at >= REMEMBERED:
                wells = await asyncio.gather(*map(self._is_well, self._checks))
                self._wells = dict(zip(self._checks, wells, strict=True))
                self._checked_at = time.monotonic()
            return self._wells

    async def _is_well(self, name: str) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001  whatever it is, the dependency is not well
            log.warning("not ready", check=name, error=type(error).__qualname__)
            return False
        return True


def _json(content: Mapping[str, object], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, {"cache-control": "no-store"}, "application/json")
