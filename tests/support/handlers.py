"""Handlers for tests, made of any function."""

from typing import Any

from domain.jobs import JOBS, Fact, JobSpec, Task
from workers.runtime.handler import Handler, HandlerFunction

ATTEMPTS = JOBS[Task.COUNT, Fact.POST_LIKE].attempts


def handler_of(run: HandlerFunction, **policy: Any) -> Handler:
    """A handler that calls `run`; `policy` has fields of `JobSpec`. A batched one runs one call at a time."""
    policy.setdefault("concurrency", 16 if policy.get("batch", 1) == 1 else 1)
    return Handler(run, JobSpec("tested", **policy))
