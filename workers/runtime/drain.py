"""Paying everything that is owed, without waiting for rings: what `repair` does, and what lets a test assert."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from domain.jobs import JOBS, Fact, Job, Task, jobs_of
from workers.registry import HANDLERS
from workers.runtime.handler import RetryLater, Tools
from workers.runtime.invoke import invoke

MAX_ROUNDS = 20  # an effect may leave others owed: a post's assembling, its fan-out
MAX_FACTS = 10_000


async def pending_jobs(tools: Tools) -> set[Job]:
    """The rings that would pay what is owed now, for up to `MOST` facts of each kind; parked facts are left alone."""
    jobs: set[Job] = set()
    for fact in Fact:
        query = {"outbox": {"$exists": True}, "due_at": {"$exists": True}}
        documents = tools.sources.database[f"{fact.value}s"].find(query, limit=MAX_FACTS)
        async for document in documents:
            jobs.update(jobs_of(fact, document))
    return jobs


async def drain(tools: Tools, failures: dict[Job, Exception] | None = None) -> set[Job]:
    """Pays whatever can be paid now, in rounds; returns what is still owed because it waits for something.

    Safe to run beside the workers. Raises what a handler raises, unless `failures` is there to take it: then that work
    is left alone, and only an outage ends the paying.
    """
    left: set[Job] = set()
    for _ in range(MAX_ROUNDS):
        jobs, before = await pending_jobs(tools) - set(failures or ()), left
        left = set()
        for task, fact, keys in _calls(jobs):
            outcome = await invoke(tools, HANDLERS[task, fact], keys)
            if outcome.outage is not None:
                raise outcome.outage
            for key, error in outcome.raised.items():
                if isinstance(error, RetryLater):
                    left.add(Job(task, fact, key))
                elif failures is None:
                    raise error
                else:
                    failures[Job(task, fact, key)] = error
        if jobs == left == before or not jobs:
            break
    return left


def _calls(jobs: Iterable[Job]) -> Iterator[tuple[Task, Fact, list[str]]]:
    for (task, fact), group in groupby(sorted(jobs), key=lambda job: job.kind):
        keys, batch = [job.key for job in group], JOBS[task, fact].batch
        for start in range(0, len(keys), batch):
            yield task, fact, keys[start : start + batch]
