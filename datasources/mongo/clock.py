"""The time as the database has it, for all that is decided or kept by a time, whatever this machine's clock says.

One for the process, as there is one database. Between two measurements it goes by the machine's stopwatch, so a clock
that is set while the process runs moves nothing either.
"""

import asyncio
import struct
import time
from datetime import UTC, datetime, timedelta

import structlog
from bson import ObjectId

from datasources.mongo.client import Client

log = structlog.get_logger(__name__)

MEASURE_EVERY = 30.0
MEASURE_SECONDS = 1.0  # a measurement that takes longer says too little; it bounds the error
WORTH_SAYING = 1.0  # seconds that this machine's clock may be off without a warning
STEP = timedelta(milliseconds=1)  # of the time that the database tells


def _ticks() -> float:
    """Seconds of a stopwatch that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _wall() -> datetime:
    """What this machine's clock says."""
    return datetime.now(UTC)  # noqa: TID251  the one place


class _Anchor:
    """A moment of the database's time and the stopwatch at it; none before the first measurement."""

    at: datetime | None = None
    ticks = 0.0
    offset = timedelta()


_anchor = _Anchor()


def now() -> datetime:
    """The database's time, right to the round trip of the last measurement; before the first, this machine's."""
    if _anchor.at is None:
        return _wall()
    return _anchor.at + timedelta(seconds=_ticks() - _anchor.ticks)


def new_id() -> ObjectId:
    """A new id whose time, by which lists are ordered, is the database's."""
    return ObjectId(struct.pack(">I", int(now().timestamp())) + ObjectId().binary[4:])


async def measure(client: Client) -> None:
    """Sets the time by the database's; leaves it as it is if the answer takes longer than `MEASURE_SECONDS`.

    Raises what PyMongo raises, and TimeoutError.
    """
    async with asyncio.timeout(MEASURE_SECONDS):
        before = _wall()
        answer = await client.admin.command("hello")
        after, ticks = _wall(), _ticks()
    theirs = answer["localTime"].replace(tzinfo=UTC)
    # They read their clock somewhere between the two readings of ours: the least correction is taken that agrees with
    # that, none where both may be right.
    late, early = theirs + STEP - before, theirs - after
    offset = early if early > timedelta() else min(late, timedelta())
    if abs(offset - _anchor.offset) > timedelta(seconds=WORTH_SAYING):
        log.warning("this machine's clock differs from the database's", seconds=round(-offset.total_seconds(), 1))
    _anchor.at, _anchor.ticks, _anchor.offset = after + offset, ticks, offset


async def keep_right(client: Client) -> None:
    """Measures again and again until cancelled; an outage leaves the time to the stopwatch."""
    while True:
        await asyncio.sleep(MEASURE_EVERY if _anchor.at is not None else MEASURE_SECONDS)
        try:
            await measure(client)
        except Exception as error:  # noqa: BLE001  whatever it is, the next measurement may do better
            log.debug("time not measured", error=type(error).__name__)
