"""`verify`: counts everything again and lists what is wrong or stuck, beside a live system and changing nothing."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from datasources.mongo import Session
from workers.maintenance.counts import COUNTERS, wrong_counts, wrong_previews
from workers.maintenance.debts import Debts, debts, depths, stuck
from workers.maintenance.entries import wrong_entries
from workers.maintenance.files import missing_files
from workers.maintenance.findings import Finding
from workers.maintenance.notices import wrong_inboxes, wrong_notices
from workers.maintenance.walking import Walk, in_snapshot

Check = Callable[[Sequence[Any], Session], Awaitable[list[Finding]]]
LISTED = 10_000  # findings kept for the report; the rest are only counted


class Report(msgspec.Struct, kw_only=True):
    """What `verify` saw: findings (the first 10,000 of `found`), how much was looked at, what is owed, what queues."""

    findings: list[Finding] = []
    found: int = 0
    checked: dict[str, int] = {}
    owed: Debts
    queues: dict[str, int] = {}
    seconds: float = 0.0


async def verify(walk: Walk) -> Report:
    """Looks at everything, or at a sample of each kind; an error of a dependency ends it.

    A target and its facts are read from one snapshot, and what is still owed is allowed for, so a system at work gives
    no false alarm. It reads in steps of a few hundred documents, each step an indexed read.
    """
    began, sources, now = time.monotonic(), walk.sources, datetime.now(UTC)
    queues, findings = await depths(sources)
    report = Report(owed=await debts(sources, now), queues=queues)
    for finding in (*findings, *await stuck(sources, now)):
        _add(report, finding)
    async for finding in differences(walk, report.checked):
        _add(report, finding)
    report.seconds = round(time.monotonic() - began, 3)
    return report


async def differences(walk: Walk, checked: dict[str, int]) -> AsyncIterator[Finding]:
    """Everything that differs from its facts, as it is found; counts in `checked` what was looked at."""
    sources = walk.sources
    stages: dict[str, list[Check]] = {
        "posts": [partial(wrong_previews, sources)],
        "comments": [],
        "users": [partial(wrong_inboxes, sources)],
        "notifications": [partial(wrong_notices, sources)],
        "feed_entries": [partial(wrong_entries, sources)],
    }
    for counter in COUNTERS:
        stages[counter.targets].append(partial(wrong_counts, sources, counter))
    for collection, checks in stages.items():
        async for ids in walk.ids(collection, collection):
            checked[collection] = checked.get(collection, 0) + len(ids)
            for check in checks:
                for finding in await in_snapshot(sources, partial(check, ids)):
                    yield finding
    async for ids in walk.ids("files", "posts"):
        checked["files"] = checked.get("files", 0) + len(ids)
        for finding in await missing_files(sources, ids):
            yield finding


def _add(report: Report, finding: Finding) -> None:
    report.found += 1
    if len(report.findings) < LISTED:
        report.findings.append(finding)
