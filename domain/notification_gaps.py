"""Below which number a recipient's log of notifications may have gaps.

A withdrawn notification stays in the log for `WITHDRAWN_NOTIFICATION_KEPT`, then a TTL index removes it. A client that
resumes below its number can no longer hear of it, and is told of a gap instead. So an inbox keeps the highest number
withdrawn on each day, and one floor for all days whose notifications may be gone.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from domain.limits import WITHDRAWN_NOTIFICATION_KEPT

CLOCKS_DIFFER = timedelta(days=1)  # at most: the writer's, the reader's, and the database's, which removes


def floor_at(floor: int, days: Mapping[str, int], now: datetime) -> int:
    """The number from which on nothing is missing; `days` are the highest numbers withdrawn, by ISO date."""
    return max((floor, *(seq for day, seq in days.items() if _may_be_gone(day, now))))


def record_withdrawal(floor: int, days: Mapping[str, int], seq: int, now: datetime) -> tuple[int, dict[str, int]]:
    """Floor and days after number `seq`, the highest, is withdrawn; there are never more than some thirty days."""
    kept = {day: top for day, top in days.items() if not _may_be_gone(day, now)}
    return floor_at(floor, days, now), {**kept, now.date().isoformat(): seq}


def _may_be_gone(day: str, now: datetime) -> bool:
    return date.fromisoformat(day) + WITHDRAWN_NOTIFICATION_KEPT - CLOCKS_DIFFER <= now.date()
