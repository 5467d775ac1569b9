"""`verify`: counts everything again and lists what is wrong or stuck, beside a live system and changing nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.indexes import missing_indexes
from datasources.sources import Sources
from domain.records.notifications import NotificationKind
from workers.maintenance.checks.accounts import left_behind
from workers.maintenance.checks.check import Finding
from workers.maintenance.checks.counters import COUNTERS, wrong_counts, wrong_previews
from workers.maintenance.checks.feed_entries import missing_entries, wrong_entries
from workers.maintenance.checks.feeds import wrong_walks
from workers.maintenance.checks.files import missing_files
from workers.maintenance.checks.interests import INTERESTS, wrong_interests
from workers.maintenance.checks.missing_notifications import (
    NOTIFIED,
    missing_notifications_of_facts,
    missing_notifications_of_likes,
)
from workers.maintenance.checks.notifications import wrong_inboxes, wrong_notifications
from workers.maintenance.checks.rules import REFERS, broken_invariants
from workers.maintenance.checks.unreadable import RECORDS, unreadable_records
from workers.maintenance.pending import PendingReport, depths, pending_report, stuck
from workers.maintenance.walk import BATCH, Walk, in_snapshot

Check = Callable[[Sequence[Any], Session], Awaitable[list[Finding]]]
LISTED = 10_000  # findings kept for the report; the rest are only counted
FEEDS = 1_000  # a feed has to be put together anew to be checked, so that this many at random must do
WALKS = 100  # feeds that are read, as their owners do
SECOND_LOOK = 1.0  # seconds until what a request may be in the middle of is looked at again
INDEX = "index"
UNCHECKED = "unchecked"
SENSELESS = (LookupError, TypeError, ValueError, AttributeError, msgspec.ValidationError)


class Report(msgspec.Struct, kw_only=True):
    """What `verify` saw: findings (the first 10,000 of `found`), how much was looked at, what is owed, what queues.

    `incomplete` says why it ended early.
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

    An error of a dependency ends it; what was seen until then is in the report.

    A target and its facts are read from one snapshot, and what is still owed is allowed for, so a system at work gives
    no false alarm. It reads in steps of a few hundred documents, each step an indexed read.
    """
    began, sources, now = time.monotonic(), walk.sources, clock.now()
    report = Report() if report is None else report
    try:
        report.queues, findings = await depths(sources)
        report.pending = await pending_report(sources, now)
        for finding in (*findings, *await stuck(sources, now)):
            _add(report, finding)
        async for finding in differences(walk, report.checked):
            _add(report, finding)
    finally:
        report.seconds = round(time.monotonic() - began, 3)
    return report


async def differences(walk: Walk, checked: dict[str, int]) -> AsyncIterator[Finding]:
    """Everything that differs from its facts, as it is found; counts in `checked` what was looked at."""
    sources = walk.sources
    for name in await missing_indexes(sources.database):
        why = "an index is missing, and with it the rule it holds or the speed it gives"
        yield Finding(kind=INDEX, id=name, expected=None, found=None, why=why)
    for stage in _stages(sources):
        async for finding in _of_stage(walk, stage, checked):
            yield finding
    async for ids in walk.ids("files", "posts"):
        checked["files"] = checked.get("files", 0) + len(ids)
        for finding in await _run(partial(missing_files, sources), ids):
            yield finding


async def _of_stage(walk: Walk, stage: "_Stage", checked: dict[str, int]) -> AsyncIterator[Finding]:
    suspects: list[ObjectId] = []
    async for ids in walk.ids(stage.name, stage.collection, most=stage.most):
        checked[stage.name] = checked.get(stage.name, 0) + len(ids)
        for finding in await _found(walk.sources, stage.checks, ids):
            yield finding
        suspects += [ObjectId(finding.id) for finding in await _found(walk.sources, stage.second_looks, ids)]
        if len(suspects) >= BATCH:
            for finding in await _still_so(walk.sources, stage, suspects):
                yield finding
            suspects = []
    for finding in await _still_so(walk.sources, stage, suspects):
        yield finding


async def _still_so(sources: Sources, stage: "_Stage", suspects: Sequence[ObjectId]) -> list[Finding]:
    """What a second look, a moment later, finds again."""
    if not suspects:
        return []
    await asyncio.sleep(SECOND_LOOK)
    return await _found(sources, stage.second_looks, suspects)


async def _found(sources: Sources, checks: Sequence[Check], ids: Sequence[Any]) -> list[Finding]:
    found = []
    for check in checks:
        found += await _run(partial(_in_snapshot, sources, check), ids)
    return found


async def _in_snapshot(sources: Sources, check: Check, ids: Sequence[Any]) -> list[Finding]:
    return await in_snapshot(sources, partial(check, ids))


async def _run(check: Callable[[Sequence[Any]], Awaitable[list[Finding]]], ids: Sequence[Any]) -> list[Finding]:
    """What a check finds; a document that it cannot make sense of does not keep it from the others, and is named."""
    try:
        return await check(ids)
    except SENSELESS as error:
        if len(ids) > 1:
            return [finding for one in ids for finding in await _run(check, [one])]
        why = f"it, or what belongs to it, makes no sense: {type(error).__name__}: {error}"
        return [Finding(kind=UNCHECKED, id=str(ids[0]), expected=None, found=None, why=why)]


class _Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of one collection's documents, of at most `most` at random; what a second look would excuse apart."""

    name: str
    collection: str
    checks: Sequence[Check] = ()
    second_looks: Sequence[Check] = ()
    most: int | None = None


def _stages(sources: Sources) -> list[_Stage]:
    exact: dict[str, list[Check]] = {
        "posts": [
            partial(wrong_previews, sources),
            partial(missing_notifications_of_likes, sources, NotificationKind.POST_LIKED),
        ],
        "comments": [partial(missing_notifications_of_likes, sources, NotificationKind.COMMENT_LIKED)],
        "users": [partial(wrong_inboxes, sources), partial(left_behind, sources)],
        "notifications": [partial(wrong_notifications, sources)],
        "feed_entries": [partial(wrong_entries, sources)],
    }
    for name in NOTIFIED:
        exact.setdefault(name, []).append(partial(missing_notifications_of_facts, sources, name))
    for counter in COUNTERS:
        exact.setdefault(counter.targets, []).append(partial(wrong_counts, sources, counter))
    for name in RECORDS.keys() - {"feeds", "interests"}:  # of which the others look at a few alone
        exact.setdefault(name, []).append(partial(unreadable_records, sources, name))
    promised = {name: [partial(broken_invariants, sources, name)] for name in REFERS}
    return [
        *(
            _Stage(name=name, collection=name, checks=exact.get(name, ()), second_looks=promised.get(name, ()))
            for name in dict.fromkeys([*exact, *promised])
        ),
        *(
            _Stage(name=f"{name}, as records", collection=name, checks=[partial(unreadable_records, sources, name)])
            for name in ("feeds", "interests")
        ),
        _Stage(name="feeds", collection="feeds", checks=[partial(missing_entries, sources)], most=FEEDS),
        _Stage(name="walks", collection="feeds", checks=[partial(wrong_walks, sources)], most=WALKS),
        _Stage(name=INTERESTS, collection="interests", checks=[partial(wrong_interests, sources)], most=FEEDS),
    ]


def _add(report: Report, finding: Finding) -> None:
    report.found += 1
    if len(report.findings) < LISTED:
        report.findings.append(finding)
