"""Running everything that is pending, without the job queue: for `repair`, and so that tests can assert."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from datasources.feed.fan_outs import MAX_STEPS
from domain.jobs import JOBS, Fact, Job, JobKind, jobs_of
from workers.registry import HANDLERS
from workers.runtime.call_handler import invoke
from workers.runtime.handler import RetryLater, Tools

# A task may make others pending, as COMPLETE_POST does FAN_OUT, and a chunk of a long fan-out its rest. There is an end
# to it, as beside busy clients there is always more.
MAX_ROUNDS = MAX_STEPS + 20
MAX_FACTS = 10_000


async def pending_jobs(tools: Tools) -> set[Job]:
    """The jobs that are pending now, of up to `MAX_FACTS` facts of each kind, without the dead-lettered ones."""
    jobs: set[Job] = set()
    for fact in Fact:
        query = {"outbox": {"$exists": True}, "due_at": {"$exists": True}}
        async for document in tools.sources.database[fact.collection].find(query, limit=MAX_FACTS):
            jobs.update(jobs_of(fact, document))
    return jobs


async def drain(tools: Tools, failures: dict[Job, Exception] | None = None) -> set[Job]:
    """Runs all pending jobs, in `MAX_ROUNDS` at most, until none is left; returns those that wait for something.

    After the last round it returns all that are left. Safe to run beside the workers. Raises what a handler raises;
    with `failures`, puts that in there, leaves the job alone and raises outages only.
    """
    waiting: set[Job] = set()
    for _ in range(MAX_ROUNDS):
        jobs, before = await pending_jobs(tools) - set(failures or ()), waiting
        waiting = set()
        for kind, keys in _calls(jobs):
            outcome = await invoke(tools, HANDLERS[kind], keys)
            if outcome.outage is not None:
                raise outcome.outage
            for key, error in outcome.raised.items():
                if isinstance(error, RetryLater):
                    waiting.add(Job(*kind, key))
                elif failures is None:
                    raise error
                else:
                    failures[Job(*kind, key)] = error
        if jobs == waiting == before or not jobs:
            return waiting
    return await pending_jobs(tools) - set(failures or ())


def _calls(jobs: Iterable[Job]) -> Iterator[tuple[JobKind, list[str]]]:
    for kind, group in groupby(sorted(jobs), key=lambda job: job.kind):
        keys, batch = [job.key for job in group], JOBS[kind].batch
        for start in range(0, len(keys), batch):
            yield kind, keys[start : start + batch]
