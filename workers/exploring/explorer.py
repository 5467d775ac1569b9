"""The explorer: the one process of all that makes snapshots of explore, at intervals.

Any number may run; a lease lets one of them work. If that one dies, another goes on when its lease has ended.
"""

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from datetime import timedelta

import structlog

from datasources.mongo import clock
from datasources.mongo.leases import Lease
from datasources.outages import is_outage
from datasources.sources import Sources
from workers.exploring.recompute import recompute

log = structlog.get_logger(__name__)

EXPLORER = "explorer"
RECOMPUTE_SECONDS = 60.0  # it takes one or two; a longer one is given up
LEASED_SECONDS = 90.0  # so it ends before its lease does, and there is never a second one
LOOK_SECONDS = 10.0  # between two looks whether a snapshot is due


class Explorer:
    """Makes a snapshot whenever the latest is `interval` seconds old, while it has the lease."""

    def __init__(self, sources: Sources, interval: float) -> None:
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lease = Lease(sources.database, EXPLORER, holder, timedelta(seconds=LEASED_SECONDS))
        self._sources = sources
        self._interval = interval

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping` is set; then another process may at once. What fails is tried again."""
        while not stopping.is_set():
            await self._try()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, self._interval)):
                    await stopping.wait()
        with suppress(Exception):  # it ends by itself
            await self._lease.release()

    async def _try(self) -> None:
        """Makes a snapshot if one is due. The jobs of the same process go on, whatever fails here."""
        try:
            if await self._is_due() and await self._lease.take() and await self._is_due():
                async with asyncio.timeout(RECOMPUTE_SECONDS):
                    snapshot = await recompute(self._sources, clock.now())
                log.info("explorer.snapshot", posts=len(snapshot.post_ids), hashtags=len(snapshot.hashtags))
        except Exception as error:
            if is_outage(error):
                log.warning("explorer.outage", error=type(error).__name__)
            else:
                log.exception("explorer.failed")

    async def _is_due(self) -> bool:
        made_at = await self._sources.discovery.snapshots.latest_made_at()
        return made_at is None or clock.now() - made_at >= timedelta(seconds=self._interval)
