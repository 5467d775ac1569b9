"""The database's time, by which everything is decided and stored, whatever this machine's clock says.

One for the process, as there is one database. Between two measurements it follows the machine's stopwatch, so setting
the machine's clock changes nothing.
"""

import asyncio
import struct
import time
from datetime import UTC, datetime, timedelta

import structlog
from bson import ObjectId

from datasources.mongo.client import Client

log = structlog.get_logger(__name__)

MEASURE_INTERVAL = 30.0
MEASURE_SECONDS = 1.0  # a slower measurement is dropped: this bounds the error
WARN_SECONDS = 1.0  # that this machine's clock may be off without a warning
RESOLUTION = timedelta(milliseconds=1)  # of the time that the database tells


def ticks() -> float:
    """Seconds of a stopwatch that goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _wall() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  the only place


class _Anchor:
    """A moment of the database's time and the stopwatch's at that moment; none before the first measurement."""

    at: datetime | None = None
    ticks = 0.0
    offset = timedelta()


_anchor = _Anchor()


def now() -> datetime:
    """The database's time, exact to the round trip of the last measurement; before the first, this machine's."""
    if _anchor.at is None:
        return _wall()
    return _anchor.at + timedelta(seconds=ticks() - _anchor.ticks)


def new_id() -> ObjectId:
    """A new id with the database's time in it, by which lists are ordered."""
    return ObjectId(struct.pack(">I", int(now().timestamp())) + ObjectId().binary[4:])


async def measure(client: Client) -> None:
    """Sets the time by the database's; changes nothing if the answer takes longer than `MEASURE_SECONDS`.

    Raises what PyMongo raises, and TimeoutError.
    """
    async with asyncio.timeout(MEASURE_SECONDS):
        before = _wall()
        answer = await client.admin.command("hello")
        after, stopped = _wall(), ticks()
    theirs = answer["localTime"].replace(tzinfo=UTC)
    # The database read its clock between our two readings of ours. The smallest correction that agrees with that is
    # taken: none where both clocks may be right.
    late, early = theirs + RESOLUTION - before, theirs - after
    offset = early if early > timedelta() else min(late, timedelta())
    if abs(offset - _anchor.offset) > timedelta(seconds=WARN_SECONDS):
        log.warning("this machine's clock differs from the database's", seconds=round(-offset.total_seconds(), 1))
    _anchor.at, _anchor.ticks, _anchor.offset = after + offset, stopped, offset


async def keep_measuring(client: Client) -> None:
    """Measures at intervals until cancelled; during an outage the stopwatch keeps the time."""
    while True:
        await asyncio.sleep(MEASURE_INTERVAL if _anchor.at is not None else MEASURE_SECONDS)
        try:
            await measure(client)
        except Exception as error:  # noqa: BLE001  the next measurement may succeed
            log.debug("time not measured", error=type(error).__name__)
