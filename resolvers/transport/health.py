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
REMEMBERED_WANTED = 5.0  # and those that can be done without, one in five
GLANCE = 0.2  # what a probe waits for these: one that hangs must not make the process look ill


class Health:
    """`needed` names what the process cannot serve without, `wanted` what it is only slower or poorer without.

    A check is well if it returns and does not raise, in time. `is_stuck` tells that this process will not get well
    again by itself.
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
        """Asks nothing of the dependencies, for a new process would not bring them back; 503 if it would help."""
        alive = not self._is_stuck()
        return _json({"alive": alive}, 200 if alive else 503)

    async def readyz(self, _request: Request) -> Response:
        """503 while draining or while what is needed is not well; `degraded` says that something wanted is not.

        The state of what is wanted may be some seconds old, and is null before it is known.
        """
        looks = [watched.look() for watched in (*self._needed.values(), *self._wanted.values())]
        await asyncio.gather(
            *(asyncio.wait({look}) for look in looks[: len(self._needed)]),
            *(asyncio.wait({look}, timeout=GLANCE) for look in looks[len(self._needed) :]),
        )
        ready = all(watched.well for watched in self._needed.values()) and not self._drain.begun
        checks = [
            {"name": watched.name, "ok": watched.well, "needed": watched.name in self._needed}
            for watched in (*self._needed.values(), *self._wanted.values())
        ]
        degraded = any(watched.well is False for watched in self._wanted.values())
        answer = {"ready": ready, "degraded": degraded, "draining": self._drain.begun, "checks": checks}
        return _json(answer, 200 if ready else 503)


class _Watched:
    """One dependency: looked at when somebody asks and the last look is over and `remembered` seconds old."""

    def __init__(self, name: str, check: Check, remembered: float) -> None:
        self.name = name
        self.well: bool | None = None
        self._check = check
        self._remembered = remembered
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")

    def look(self) -> asyncio.Task[None]:
        """The look that is under way, a new one, or the last; `well` is what it found once it is done."""
        if self._looking is None or (self._looking.done() and time.monotonic() - self._looked_at >= self._remembered):
            self._looking = asyncio.create_task(self._look(), name=f"health {self.name}")
        return self._looking

    async def _look(self) -> None:
        was_well = self.well
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await self._check()
            self.well = True
        except Exception as error:  # noqa: BLE001  whatever it is, the dependency is not well
            self.well = False
            if was_well is not False:
                log.warning("dependency away", check=self.name, error=type(error).__qualname__)
        else:
            if was_well is False:
                log.info("dependency back", check=self.name)
        finally:
            self._looked_at = time.monotonic()


def _json(content: Mapping[str, object], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, {"cache-control": "no-store"}, "application/json")
