"""`repair`: pays what is owed and sets right what differs from its facts, beside a live system."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from bson import ObjectId

from datasources.mongo.indexes import ensure_indexes
from datasources.outages import is_outage
from datasources.sources import Sources
from domain.jobs import Job, Task
from domain.records.notifications import NotificationKind
from workers.maintenance.checks.accounts import LEFT, clean_again
from workers.maintenance.checks.check import Finding
from workers.maintenance.checks.counters import COUNTERS, PREVIEWS, correct_counter, correct_previews
from workers.maintenance.checks.feed_entries import ENTRY, MISSING, put_in, take_out
from workers.maintenance.checks.feeds import WALK, renew
from workers.maintenance.checks.interests import INTERESTS, recompute_interests
from workers.maintenance.checks.missing_notifications import MISSING as UNNOTIFIED
from workers.maintenance.checks.missing_notifications import NOTIFIED, notify_again
from workers.maintenance.checks.notifications import (
    ACTORS,
    NUMBERS,
    REPEATED,
    STANDING,
    correct_inbox,
    correct_notification,
)
from workers.maintenance.checks.rules import INVARIANTS
from workers.maintenance.repairs import add_pending_tasks
from workers.maintenance.verify import INDEX, LISTED, differences
from workers.maintenance.walk import Walk
from workers.runtime.drain import drain
from workers.runtime.handler import Tools

LIKED = (NotificationKind.POST_LIKED, NotificationKind.COMMENT_LIKED)
Fix = Callable[[Sources, Finding], Awaitable[None]]
BY_HAND = "nothing can set this right by itself"


class Repair(msgspec.Struct, kw_only=True):
    """What `repair` did: what it set right, what it could not, and how much of the work owed waits for something.

    Of each the first 10,000 are listed, and all counted. `incomplete` says why it ended early.
    """

    repaired: list[Finding] = []
    repaired_found: int = 0
    left: list[Finding] = []
    left_found: int = 0
    waiting: int = 0
    seconds: float = 0.0
    incomplete: str | None = None


def _by_id(fix: Callable[[Sources, ObjectId], Awaitable[None]]) -> Fix:
    async def run(sources: Sources, finding: Finding) -> None:
        await fix(sources, ObjectId(finding.id))

    return run


async def _set_counter_right(sources: Sources, finding: Finding) -> None:
    (counter,) = (one for one in COUNTERS if one.kind == finding.kind)
    await correct_counter(sources, counter, ObjectId(finding.id))


async def _make_indexes(sources: Sources, _finding: Finding) -> None:
    await ensure_indexes(sources.database)


FIXES: Mapping[str, Fix] = {
    **{counter.kind: _set_counter_right for counter in COUNTERS},
    PREVIEWS: _by_id(correct_previews),
    ACTORS: _by_id(correct_notification),
    STANDING: _by_id(correct_notification),
    NUMBERS: _by_id(correct_inbox),
    REPEATED: _by_id(correct_inbox),
    ENTRY: take_out,
    MISSING: put_in,
    WALK: _by_id(renew),
    INTERESTS: _by_id(recompute_interests),
    INDEX: _make_indexes,
    LEFT: _by_id(clean_again),
    **{f"{UNNOTIFIED}.{kind.value}": _by_id(partial(notify_again, kind)) for kind in LIKED},
    **{f"{UNNOTIFIED}.{name}": _by_id(add_pending_tasks(name, Task.NOTIFY)) for name in NOTIFIED},
    **{
        invariant.kind: _by_id(invariant.repair_record)
        for invariant in INVARIANTS
        if invariant.repair_record is not None
    },
}


async def repair(tools: Tools, walk: Walk, done: Repair | None = None) -> Repair:
    """Pays everything owed, sets right what `verify` would find, and pays what that left owed; notes it in `done`.

    Safe to repeat, to stop half way, and beside workers and clients. Parked facts stay parked: see `dlq redrive`. Only
    an outage of a dependency ends it early.
    """
    began, done = time.monotonic(), Repair() if done is None else done
    failures: dict[Job, Exception] = {}
    try:
        await drain(tools, failures)
        async for finding in differences(walk, {}):
            await _fix(tools.sources, finding, done)
        done.waiting = len(await drain(tools, failures))
    finally:
        for job, error in failures.items():
            _leave(done, _unfinished(job, error))
        done.seconds = round(time.monotonic() - began, 3)
    return done


async def _fix(sources: Sources, finding: Finding, done: Repair) -> None:
    fix = FIXES.get(finding.kind)
    if fix is None:
        _leave(done, _still(finding, BY_HAND))
        return
    try:
        await fix(sources, finding)
    except Exception as error:
        if is_outage(error):
            raise
        _leave(done, _still(finding, f"{type(error).__name__}: {error}"))
    else:
        done.repaired_found += 1
        done.repaired += [finding] if len(done.repaired) < LISTED else []


def _leave(done: Repair, finding: Finding) -> None:
    done.left_found += 1
    done.left += [finding] if len(done.left) < LISTED else []


def _still(finding: Finding, reason: str) -> Finding:
    return msgspec.structs.replace(finding, why=f"{finding.why} ({reason})")


def _unfinished(job: Job, error: Exception) -> Finding:
    about = f"{job.task.value} {job.fact.value} {job.key}"
    return Finding(kind="unpaid", id=about, expected=None, found=None, why=f"{type(error).__name__}: {error}")
