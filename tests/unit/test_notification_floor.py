"""The floor of a log of notifications: withdrawals may be missing below it, never above it."""

import random
from datetime import UTC, datetime, timedelta

from domain.limits import WITHDRAWN_NOTIFICATION_KEPT
from domain.notification_gaps import CLOCKS_DIFFER, floor_at, record_withdrawal

START = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


def test_nothing_is_missing_while_tombstones_stand() -> None:
    floor, days = record_withdrawal(0, {}, 7, START)
    assert (floor, days) == (0, {"2026-01-31": 7})
    assert floor_at(floor, days, START + WITHDRAWN_NOTIFICATION_KEPT - CLOCKS_DIFFER - timedelta(days=1)) == 0


def test_once_a_tombstone_may_be_gone_the_floor_is_its_number() -> None:
    floor, days = record_withdrawal(0, {}, 7, START)
    assert floor_at(floor, days, START + WITHDRAWN_NOTIFICATION_KEPT) == 7


def test_the_floor_covers_every_expired_tombstone_and_the_days_stay_few() -> None:
    draw = random.Random(7)
    now, floor, days = START, 0, dict[str, int]()
    gone_at = []
    for seq in range(1, 400):
        now += timedelta(hours=draw.randrange(60))
        floor, days = record_withdrawal(floor, days, seq, now)
        gone_at.append((now + WITHDRAWN_NOTIFICATION_KEPT, seq))
        assert len(days) <= WITHDRAWN_NOTIFICATION_KEPT.days + 1
        for late in (timedelta(0), CLOCKS_DIFFER):  # the database's clock may be ahead of the reader's
            assert floor_at(floor, days, now) >= max((seq for at, seq in gone_at if at <= now + late), default=0)
    assert 0 < floor < 399
