"""`repair`: pays what is owed and sets right what differs from its facts, beside a live system."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from bson import ObjectId

from datasources.mongo.indexes import ensure_indexes
from datasources.outages import is_outage
from datasources.sources import Sources
from domain.jobs import Effect, Ring
from domain.records import NotificationKind
from workers.maintenance.counts import COUNTERS, PREVIEWS, set_previews_right, set_right
from workers.maintenance.deleted_accounts import LEFT, clean_again
from workers.maintenance.entries import ENTRY, MISSING, put_in, take_out
from workers.maintenance.feeds import WALK, renew
from workers.maintenance.findings import Finding
from workers.maintenance.interests import INTERESTS, weigh_again
from workers.maintenance.invariants import PROMISES
from workers.maintenance.missing_notifications import MISSING as UNTOLD
from workers.maintenance.missing_notifications import TOLD, tell_again
from workers.maintenance.notifications import (
    ACTORS,
    NUMBERS,
    REPEATED,
    STANDING,
    set_inbox_right,
    set_notice_right,
)
from workers.maintenance.repairs import owe
from workers.maintenance.verify import INDEX, LISTED, differences
from workers.maintenance.walk import Walk
from workers.runtime.drain import pay_all
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
    await set_right(sources, counter, ObjectId(finding.id))


async def _make_indexes(sources: Sources, _finding: Finding) -> None:
    await ensure_indexes(sources.database)


FIXES: Mapping[str, Fix] = {
    **{counter.kind: _set_counter_right for counter in COUNTERS},
    PREVIEWS: _by_id(set_previews_right),
    ACTORS: _by_id(set_notice_right),
    STANDING: _by_id(set_notice_right),
    NUMBERS: _by_id(set_inbox_right),
    REPEATED: _by_id(set_inbox_right),
    ENTRY: take_out,
    MISSING: put_in,
    WALK: _by_id(renew),
    INTERESTS: _by_id(weigh_again),
    INDEX: _make_indexes,
    LEFT: _by_id(clean_again),
    **{f"{UNTOLD}.{kind.value}": _by_id(partial(tell_again, kind)) for kind in LIKED},
    **{f"{UNTOLD}.{name}": _by_id(owe(name, Effect.NOTIFY)) for name in TOLD},
    **{promise.kind: _by_id(promise.mend) for promise in PROMISES if promise.mend is not None},
}


async def repair(tools: Tools, walk: Walk, done: Repair | None = None) -> Repair:
    """Pays everything owed, sets right what `verify` would find, and pays what that left owed; notes it in `done`.

    Safe to repeat, to stop half way, and beside workers and clients. Parked facts stay parked: see `dlq redrive`. Only
    an outage of a dependency ends it early.
    """
    began, done = time.monotonic(), Repair() if done is None else done
    failures: dict[Ring, Exception] = {}
    try:
        await pay_all(tools, failures)
        async for finding in differences(walk, {}):
            await _fix(tools.sources, finding, done)
        done.waiting = len(await pay_all(tools, failures))
    finally:
        for ring, error in failures.items():
            _leave(done, _unpaid(ring, error))
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


def _unpaid(ring: Ring, error: Exception) -> Finding:
    about = f"{ring.effect.value} {ring.fact.value} {ring.key}"
    return Finding(kind="unpaid", id=about, expected=None, found=None, why=f"{type(error).__name__}: {error}")
