"""The observer: the one process that asks the databases what waits and what is wrong, and tells Prometheus.

Any number may run; a lease lets one of them ask, at a fixed rate, however many processes are scraped and how often.
The others show nothing of it. If the one dies, another goes on when its lease has ended.
"""

import asyncio
import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import structlog
from prometheus_client.core import Metric

from datasources.concurrency.tasks import cancel_tasks
from datasources.mongo import clock
from datasources.mongo.leases import Lease
from datasources.outages import is_outage
from datasources.sources import Sources
from datasources.telemetry.metrics import gauges, one_label, readings
from workers.maintenance.verify import find_differences
from workers.maintenance.walk import Walk
from workers.monitoring.observations import OBSERVATIONS

log = structlog.get_logger(__name__)

OBSERVER = "observer"
LEASED_INTERVALS, LEASED_SECONDS = 3, 15.0  # without a renewal; after the longer of both another process observes
DRIFT_SAMPLE = 1_000  # things of each kind that a check of the records looks at
DRIFT_PAUSE = 0.1  # seconds of rest after each 200 of them
RETRY_SECONDS = 60.0  # until a check that failed begins again
LOGGED = 20  # differences of one check


class Observer:
    """Observes every `interval` seconds, and compares records every `drift_interval`, while it has the lease."""

    def __init__(self, sources: Sources, *, interval: float, drift_interval: float) -> None:
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        life = timedelta(seconds=max(LEASED_SECONDS, interval * LEASED_INTERVALS))
        self._lease = Lease(sources.database, OBSERVER, holder, life)
        self._sources = sources
        self._interval = interval
        self._drift_interval = drift_interval
        self._observed: list[Metric] = []
        self._drift: list[Metric] = []
        self._kinds: set[str] = set()  # of differences that were ever found: each is shown from then on, also as 0
        self._checking: asyncio.Task[None] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Observes until `stopping` is set; then another process may at once."""
        try:
            with readings(self._read):
                while not stopping.is_set():
                    await self._observe_if_leased()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._interval):
                            await stopping.wait()
        finally:
            await self._stop_checking()
        with _failures_logged():
            await self._lease.release()

    async def _observe_if_leased(self) -> None:
        is_leased = False
        with _failures_logged():
            is_leased = await self._lease.take()
        if not is_leased:  # nor if MongoDB does not answer: then this process knows nothing
            self._observed = []
            await self._stop_checking()
            return
        if self._checking is None and self._drift_interval:
            self._checking = asyncio.create_task(self._keep_checking(), name="drift")
        await self._observe()

    async def _observe(self) -> None:
        now, metrics, answered = clock.now(), list[Metric](), dict[str, float]()
        for name, observe in OBSERVATIONS.items():
            answered[name] = 0.0
            with _failures_logged():
                metrics += await observe(self._sources, now)
                answered[name] = 1.0
        metrics.append(
            gauges("photogram_observed", "Whether a part could be observed.", ("part",), one_label(answered))
        )
        self._observed = metrics

    async def _keep_checking(self) -> None:
        while True:
            pause = RETRY_SECONDS
            with _failures_logged():
                await self._check()
                pause = self._drift_interval
            await asyncio.sleep(pause)

    async def _check(self) -> None:
        """Compares a sample of the records with each other, as `photogram verify` does."""
        checked: dict[str, int] = {}
        found: Counter[str] = Counter()
        walk = Walk(sources=self._sources, sample=DRIFT_SAMPLE, pause=DRIFT_PAUSE)
        async for finding in find_differences(walk, checked):
            found[finding.kind] += 1
            if found.total() <= LOGGED:
                log.warning("observer.drift", kind=finding.kind, id=finding.id)
        self._kinds |= set(found)
        kinds = {kind: found[kind] for kind in sorted(self._kinds)}
        self._drift = [
            gauges("photogram_drift", "Differences of the last check, by kind.", ("kind",), one_label(kinds)),
            gauges("photogram_drift_checked", "Records that it looked at.", ("stage",), one_label(checked)),
            gauges("photogram_drift_checked_at_seconds", "When it ended.", (), [((), clock.now().timestamp())]),
        ]

    async def _stop_checking(self) -> None:
        checking, self._checking, self._drift = self._checking, None, []
        if checking is not None:
            await cancel_tasks([checking])

    def _read(self) -> Iterator[Metric]:
        yield from self._observed
        yield from self._drift


@contextmanager
def _failures_logged() -> Iterator[None]:
    """Goes on whatever fails: the jobs of the same process must not stop because nobody can watch them."""
    try:
        yield
    except Exception as error:
        if is_outage(error):
            log.warning("observer.outage", error=type(error).__name__)
        else:
            log.exception("observer.failed")
