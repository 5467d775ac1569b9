"""`repair`: finishes what is pending and repairs what the checks find, beside a live system."""

import msgspec

from datasources.outages import is_outage
from datasources.sources import Sources
from domain.jobs import Job
from workers.maintenance.checks.check import Finding
from workers.maintenance.checks.registry import REPAIRS
from workers.maintenance.pending import UNFINISHED, name_of
from workers.maintenance.verify import LISTED, find_differences
from workers.maintenance.walk import Walk
from workers.runtime.drain import drain
from workers.runtime.handler import Tools


class Repaired(msgspec.Struct, kw_only=True):
    """What `repair` repaired, what it left and why, and how many jobs wait for something.

    Of findings the first 10,000 are listed, and all counted. The command line adds `seconds` and `incomplete`.
    """

    repaired: list[Finding] = []
    repaired_found: int = 0
    left: list[Finding] = []
    left_found: int = 0
    waiting: int = 0
    seconds: float = 0.0
    incomplete: str | None = None


async def repair(tools: Tools, walk: Walk, done: Repaired | None = None) -> Repaired:
    """Finishes everything pending, repairs what `verify` would find, and finishes what became pending by that.

    Notes in `done` what it does. Safe to repeat, to stop half way, and beside workers and clients. Dead letters stay
    dead: see `dlq redrive`. Only an outage of a server ends it early.
    """
    done = Repaired() if done is None else done
    failures: dict[Job, Exception] = {}
    try:
        await drain(tools, failures)
        async for finding in find_differences(walk, {}):
            await _repair(tools.sources, finding, done)
        done.waiting = len(await drain(tools, failures))
    finally:
        for job, error in failures.items():
            _leave(done, Finding(kind=UNFINISHED, id=name_of(job), why=f"{type(error).__name__}: {error}"))
    return done


async def _repair(sources: Sources, finding: Finding, done: Repaired) -> None:
    repair_finding = REPAIRS.get(finding.kind)
    if repair_finding is None:
        _leave(done, finding, "only people can repair this")
        return
    try:
        await repair_finding(sources, finding)
    except Exception as error:
        if is_outage(error):
            raise
        _leave(done, finding, f"{type(error).__name__}: {error}")
    else:
        done.repaired_found += 1
        if len(done.repaired) < LISTED:
            done.repaired.append(finding)


def _leave(done: Repaired, finding: Finding, reason: str | None = None) -> None:
    done.left_found += 1
    if len(done.left) < LISTED:
        why = finding.why if reason is None else f"{finding.why} ({reason})"
        done.left.append(msgspec.structs.replace(finding, why=why))
