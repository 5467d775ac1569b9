"""Counts the calls of handlers, and what became of their jobs."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from datasources.jobs.origin import Origin
from datasources.mongo import clock
from datasources.telemetry.metrics import LONG_SECONDS, Distribution, Tally, gauges
from datasources.telemetry.tracing import TracedPart
from domain.jobs import Job, JobKind
from workers.runtime.backlog import Backlog
from workers.runtime.call_handler import Outcome

_KIND = ("task", "fact")
_JOBS = Tally("photogram_jobs", "Jobs by what became of them: done, failed, retry or outage.", *_KIND, "outcome")
_CALLS = Distribution("photogram_job_call_seconds", "Time of a call of a handler.", *_KIND, bounds=LONG_SECONDS)
_LAGS = Distribution(
    "photogram_job_lag_seconds", "Time from a job's enqueueing until it was done.", *_KIND, bounds=LONG_SECONDS
)
_DEAD = Tally("photogram_dead_lettered", "Jobs that became dead letters.", *_KIND)


def count_call(
    part: TracedPart, kind: JobKind, jobs: Sequence[Job], outcome: Outcome, origins: Sequence[Origin], seconds: float
) -> None:
    """Counts a call that has ended, and tells its part of a trace how."""
    labels = kind[0].value, kind[1].value
    _CALLS.add(seconds, *labels)
    failed, retried = len(outcome.failed), len(outcome.raised) - len(outcome.failed)
    done = set(outcome.done) - outcome.has_more
    for name, number in (("done", len(done)), ("failed", failed), ("retry", retried)):
        if number:
            _JOBS.add(*labels, name, by=number)
    if outcome.outage is not None:
        _JOBS.add(*labels, "outage", by=len(jobs) - len(outcome.done) - len(outcome.raised))
    now = clock.now()
    for job, origin in zip(jobs, origins, strict=True):
        if origin.at is not None and job.key in done:
            _LAGS.add(max(0.0, (now - origin.at).total_seconds()), *labels)
    part.set(jobs=len(jobs), key=jobs[0].key if len(jobs) == 1 else None, done=len(done))
    if failed or outcome.outage is not None:
        part.fail(", ".join(sorted({type(error).__name__ for error in outcome.failed.values()})) or "outage")


def count_dead_letter(kind: JobKind) -> None:
    """Counts a job that is not tried any more."""
    _DEAD.add(kind[0].value, kind[1].value)


def read_backlog(worker: str, backlog: Backlog) -> Iterator[Metric]:
    """What a worker has read and not finished, for Prometheus."""
    samples = [((worker, "waiting"), len(backlog.waiting)), ((worker, "in_hand"), len(backlog.in_hand))]
    yield gauges("photogram_worker_jobs", "Jobs that a worker has read and not finished.", ("worker", "state"), samples)
