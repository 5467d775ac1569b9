"""Handlers for tests: any function, with the policy that a test wants."""

from typing import Any

from domain.jobs import JOBS, Fact, JobSpec, Task
from workers.runtime.handler import Handler, HandlerFunction

ATTEMPTS = JOBS[Task.COUNT, Fact.POST_LIKE].attempts


def handler_of(run: HandlerFunction, **policy: Any) -> Handler:
    """A handler of any function; `policy` has fields of `JobSpec`. One that takes many keys runs one call at a time."""
    policy.setdefault("concurrency", 16 if policy.get("batch", 1) == 1 else 1)
    return Handler(run, JobSpec("tested", **policy))
