"""How many images an account may still upload, counted by days and months in UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from domain.limits import IMAGES_PER_DAY, IMAGES_PER_MONTH


class QuotaUse(msgspec.Struct, frozen=True, kw_only=True):
    """The slots that are taken: each image has one of its day's, numbered from 0, and one of its month's.

    `resets_at` is when the count that is the limit starts again: the day's, or the month's if that is used up.
    """

    day: str
    month: str
    day_slots: frozenset[int]
    month_slots: frozenset[int]
    resets_at: datetime

    @property
    def used_today(self) -> int:
        return len(self.day_slots)

    @property
    def remaining_today(self) -> int:
        """Images left today; never more than are left this month."""
        return max(0, min(IMAGES_PER_DAY - self.used_today, self.remaining_this_month))

    @property
    def used_this_month(self) -> int:
        return len(self.month_slots)

    @property
    def remaining_this_month(self) -> int:
        return max(0, IMAGES_PER_MONTH - self.used_this_month)

    @property
    def free_day_slots(self) -> list[int]:
        return [slot for slot in range(IMAGES_PER_DAY) if slot not in self.day_slots]

    @property
    def free_month_slots(self) -> list[int]:
        return [slot for slot in range(IMAGES_PER_MONTH) if slot not in self.month_slots]


def quota_use(now: datetime, taken: Iterable[tuple[str, int, int]]) -> QuotaUse:
    """Sums up what is taken this month: (day, slot of the day, slot of the month) of each image."""
    day, month = quota_period(now)
    rows = list(taken)
    month_slots = frozenset(slot for _, _, slot in rows)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    next_month = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return QuotaUse(
        day=day,
        month=month,
        day_slots=frozenset(slot for on_day, slot, _ in rows if on_day == day),
        month_slots=month_slots,
        resets_at=next_month if len(month_slots) >= IMAGES_PER_MONTH else midnight + timedelta(days=1),
    )


def quota_period(now: datetime) -> tuple[str, str]:
    """The day and month, in UTC, that an image uploaded now counts for."""
    utc = now.astimezone(UTC)
    return utc.strftime("%Y-%m-%d"), utc.strftime("%Y-%m")
