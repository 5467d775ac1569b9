"""`verify`: runs every check and lists what is wrong or stuck, beside a live system and changing nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.sources import Sources
from workers.maintenance.checks.check import Check, Find, Finding
from workers.maintenance.checks.registry import CHECKS
from workers.maintenance.pending import PendingReport, find_stuck, queue_depths, report_pending
from workers.maintenance.walk import BATCH, Walk

LISTED = 10_000  # findings kept for the report; the rest are only counted
SECOND_LOOK = 1.0  # seconds until what a request may be in the middle of is looked at again
UNCHECKED = "unchecked"
_SENSELESS = (LookupError, TypeError, ValueError, AttributeError, msgspec.ValidationError)


class Report(msgspec.Struct, kw_only=True):
    """What `verify` found (`findings`, of which `found` counts all), looked at, and what is pending or queued.

    The command line adds how long it took, and in `incomplete` why it ended early.
    """

    findings: list[Finding] = []
    found: int = 0
    checked: dict[str, int] = {}
    pending: PendingReport = PendingReport(facts={}, oldest_seconds=0.0)
    queues: dict[str, int] = {}
    seconds: float = 0.0
    incomplete: str | None = None


async def verify(walk: Walk, report: Report | None = None) -> Report:
    """Looks at everything, or at a sample of each kind, and writes it into `report` as it goes.

    An outage of a server ends it; the report has what was found until then.
    """
    sources, now = walk.sources, clock.now()
    report = Report() if report is None else report
    report.queues, findings = await queue_depths(sources)
    report.pending = await report_pending(sources, now)
    for finding in (*findings, *await find_stuck(sources, now)):
        _add(report, finding)
    async for finding in find_differences(walk, report.checked):
        _add(report, finding)
    return report


async def find_differences(walk: Walk, checked: dict[str, int]) -> AsyncIterator[Finding]:
    """What the checks find, as they find it; counts in `checked` what they have looked at, by stage."""
    stages: dict[str, list[Check]] = {}
    for check in CHECKS:
        if check.collection is None:
            for finding in await check.find(walk.sources, ()):
                yield finding
        else:
            stages.setdefault(check.stage or check.collection, []).append(check)
    for name, checks in stages.items():
        async for finding in _run_stage(walk, name, checks, checked):
            yield finding


async def _run_stage(walk: Walk, name: str, checks: Sequence[Check], checked: dict[str, int]) -> AsyncIterator[Finding]:
    """Walks once through a collection, for all of its checks."""
    once = [check.find for check in checks if not check.looks_twice]
    twice = [check.find for check in checks if check.looks_twice]
    suspects: list[ObjectId] = []
    async for ids in walk.ids(name, str(checks[0].collection), limit=checks[0].limit):
        checked[name] = checked.get(name, 0) + len(ids)
        for finding in await _run(once, walk.sources, ids):
            yield finding
        suspects += [ObjectId(finding.id) for finding in await _run(twice, walk.sources, ids)]
        if len(suspects) >= BATCH:
            for finding in await _look_again(twice, walk.sources, suspects):
                yield finding
            suspects = []
    for finding in await _look_again(twice, walk.sources, suspects):
        yield finding


async def _look_again(finds: Sequence[Find], sources: Sources, suspects: Sequence[ObjectId]) -> list[Finding]:
    if not suspects:
        return []
    await asyncio.sleep(SECOND_LOOK)
    return await _run(finds, sources, suspects)


async def _run(finds: Sequence[Find], sources: Sources, ids: Sequence[Any]) -> list[Finding]:
    return [finding for find in finds for finding in await _find(find, sources, ids)]


async def _find(find: Find, sources: Sources, ids: Sequence[Any]) -> list[Finding]:
    """What a check finds. A document that it cannot read becomes a finding itself and does not hide the others."""
    try:
        return await find(sources, ids)
    except _SENSELESS as error:
        if len(ids) > 1:
            return [finding for document_id in ids for finding in await _find(find, sources, [document_id])]
        why = f"it, or what belongs to it, makes no sense: {type(error).__name__}: {error}"
        return [Finding(kind=UNCHECKED, id=str(ids[0]), why=why)]


def _add(report: Report, finding: Finding) -> None:
    report.found += 1
    if len(report.findings) < LISTED:
        report.findings.append(finding)
