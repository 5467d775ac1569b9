"""Probes: `/livez` says that the process works, `/readyz` that it should get requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resolvers.transport.drain import Drain

log = structlog.stdlib.get_logger(__name__)

Check = Callable[[], Awaitable[object]]

UNCACHED = {"cache-control": "no-store"}
CHECK_TIMEOUT = 2.0
REMEMBERED = 1.0  # seconds; a needed dependency is checked at most once a second, however many probes there are
REMEMBERED_WANTED = 5.0  # the same for a dependency that is only wanted
WANTED_TIMEOUT = 0.2  # seconds that a probe waits for these: one that hangs must not make the process look unready


class Health:
    """Checks dependencies: the process cannot serve without `needed` ones, and is only slower without `wanted` ones.

    A check succeeds if it returns in time and does not raise. `is_stuck` tells that the process will not recover by
    itself.
    """

    def __init__(
        self,
        needed: Mapping[str, Check],
        drain: Drain,
        *,
        wanted: Mapping[str, Check] | None = None,
        is_stuck: Callable[[], bool] = lambda: False,
    ) -> None:
        self._needed = {name: _Watched(name, check, REMEMBERED) for name, check in needed.items()}
        self._wanted = {name: _Watched(name, check, REMEMBERED_WANTED) for name, check in (wanted or {}).items()}
        self._drain = drain
        self._is_stuck = is_stuck

    async def livez(self, _request: Request) -> Response:
        """503 if a new process would help. Does not check dependencies: a new process would not bring them back."""
        alive = not self._is_stuck()
        return JSONResponse({"alive": alive}, 200 if alive else 503, UNCACHED)

    async def readyz(self, _request: Request) -> Response:
        """503 while draining or while a needed dependency is away; `degraded` says that a wanted one is.

        The state of a wanted one may be some seconds old, and is null before it is known.
        """
        await asyncio.gather(
            *(asyncio.wait({watched.check()}) for watched in self._needed.values()),
            *(asyncio.wait({watched.check()}, timeout=WANTED_TIMEOUT) for watched in self._wanted.values()),
        )
        ready = all(watched.is_well for watched in self._needed.values()) and not self._drain.begun
        checks = [
            {"name": watched.name, "ok": watched.is_well, "needed": watched.name in self._needed}
            for watched in (*self._needed.values(), *self._wanted.values())
        ]
        degraded = any(watched.is_well is False for watched in self._wanted.values())
        answer = {"ready": ready, "degraded": degraded, "draining": self._drain.begun, "checks": checks}
        return JSONResponse(answer, 200 if ready else 503, UNCACHED)


class _Watched:
    """One dependency. It is checked when somebody asks and the last check ended `remembered` seconds ago."""

    def __init__(self, name: str, check: Check, remembered: float) -> None:
        self.name = name
        self.is_well: bool | None = None
        self._run_check = check
        self._remembered = remembered
        self._checking: asyncio.Task[None] | None = None
        self._checked_at = float("-inf")

    def check(self) -> asyncio.Task[None]:
        """The running check, a new one, or the last one. When it is done, `is_well` is its result."""
        if self._checking is None or (
            self._checking.done() and time.monotonic() - self._checked_at >= self._remembered
        ):
            self._checking = asyncio.create_task(self._check(), name=f"health {self.name}")
        return self._checking

    async def _check(self) -> None:
        was_well = self.is_well
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await self._run_check()
            self.is_well = True
        except Exception as error:  # noqa: BLE001  whatever it is, the dependency is not well
            self.is_well = False
            if was_well is not False:
                log.warning("dependency away", check=self.name, error=type(error).__qualname__)
        else:
            if was_well is False:
                log.info("dependency back", check=self.name)
        finally:
            self._checked_at = time.monotonic()
