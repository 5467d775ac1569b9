"""Below which number a recipient's log of notifications is not whole any more.

A notification that was taken back stays in the log for `WITHDRAWN_KEPT`, then a TTL index removes it. Whoever has read
less than its number is not told of it any more, and must hear of a gap instead. So an inbox keeps, for each day, the
highest number that was taken back on it, and one floor for all days whose notifications may be gone.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

WITHDRAWN_KEPT = timedelta(days=30)
CLOCKS_DIFFER = timedelta(days=1)  # at most: the writer's, the reader's, and the database's, which removes


def floor_at(floor: int, days: Mapping[str, int], now: datetime) -> int:
    """The number from which on nothing is missing; `days` are numbers taken back by ISO date."""
    return max((floor, *(seq for day, seq in days.items() if _may_be_gone(day, now))))


def record_withdrawal(floor: int, days: Mapping[str, int], seq: int, now: datetime) -> tuple[int, dict[str, int]]:
    """Floor and days once number `seq`, the highest, was taken back; there are never more than some thirty days."""
    kept = {day: top for day, top in days.items() if not _may_be_gone(day, now)}
    return floor_at(floor, days, now), {**kept, now.date().isoformat(): seq}


def _may_be_gone(day: str, now: datetime) -> bool:
    return date.fromisoformat(day) + WITHDRAWN_KEPT - CLOCKS_DIFFER <= now.date()
