"""Days and months of the image quota."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.limits import IMAGES_PER_DAY, IMAGES_PER_MONTH
from domain.upload_quota import quota_period, quota_use

NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "day", "month"),
    [
        (datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-01-31", "2026-01"),
        (datetime(2026, 2, 1, tzinfo=UTC), "2026-02-01", "2026-02"),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "2026-12-31", "2026-12"),
        (datetime(2027, 1, 1, tzinfo=UTC), "2027-01-01", "2027-01"),
        (datetime(2028, 2, 29, 8, tzinfo=UTC), "2028-02-29", "2028-02"),
        (datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2026-02-28", "2026-02"),
        (datetime(2026, 2, 28, 20, tzinfo=timezone(timedelta(hours=-8))), "2026-03-01", "2026-03"),
    ],
)
def test_days_and_months_are_those_of_utc(moment: datetime, day: str, month: str) -> None:
    assert quota_period(moment) == (day, month)


@pytest.mark.parametrize(
    ("moment", "resets_at"),
    [
        (NOON, datetime(2026, 5, 18, tzinfo=UTC)),
        (datetime(2026, 5, 17, tzinfo=UTC), datetime(2026, 5, 18, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2026, 2, 28, 20, tzinfo=timezone(timedelta(hours=-8))), datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_the_day_starts_again_at_midnight_utc(moment: datetime, resets_at: datetime) -> None:
    assert quota_use(moment, []).resets_at == resets_at


def test_without_uploads_the_whole_quota_is_left() -> None:
    use = quota_use(NOON, [])
    assert (use.used_today, use.remaining_today) == (0, IMAGES_PER_DAY)
    assert (use.used_this_month, use.remaining_this_month) == (0, IMAGES_PER_MONTH)


def test_other_days_count_for_the_month_alone() -> None:
    use = quota_use(NOON, [("2026-05-16", 0, 0), ("2026-05-17", 0, 1), ("2026-05-17", 4, 2)])
    assert (use.used_today, use.remaining_today) == (2, IMAGES_PER_DAY - 2)
    assert (use.used_this_month, use.remaining_this_month) == (3, IMAGES_PER_MONTH - 3)
    assert use.free_day_slots == [1, 2, 3, 5, 6, 7, 8, 9]
    assert use.free_month_slots == list(range(3, IMAGES_PER_MONTH))


def test_a_full_day_leaves_no_quota() -> None:
    use = quota_use(NOON, [("2026-05-17", slot, slot) for slot in range(IMAGES_PER_DAY)])
    assert (use.remaining_today, use.free_day_slots) == (0, [])


def test_no_more_is_left_today_than_this_month() -> None:
    taken = [(f"2026-05-{1 + slot % 16:02}", slot // 16, slot) for slot in range(IMAGES_PER_MONTH - 3)]
    use = quota_use(NOON, taken)
    assert (use.used_today, use.remaining_today, use.remaining_this_month) == (0, 3, 3)


ANYWHERE = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.timezones())  # noqa: DTZ001
# Around the ends of a day, of months of every length and of a year, in steps that cross them.
ENDS = [datetime(2026, 2, 28, 12, tzinfo=UTC), datetime(2028, 2, 28, tzinfo=UTC), datetime(2026, 12, 31, 6, tzinfo=UTC)]
HOURS = st.lists(st.integers(0, 30), max_size=60)


@given(ANYWHERE)
def test_a_day_lasts_until_it_starts_again(moment: datetime) -> None:
    resets_at, second = quota_use(moment, []).resets_at, timedelta(seconds=1)
    assert timedelta(0) < resets_at - moment <= timedelta(days=1)
    day, month = quota_period(moment)
    assert quota_period(resets_at - second) == (day, month) == (day, day[:7])
    assert quota_period(resets_at)[0] > day


@given(ANYWHERE, st.timezones())
def test_the_time_zone_changes_nothing(moment: datetime, zone: tzinfo) -> None:
    assert quota_use(moment, []) == quota_use(moment.astimezone(zone), [])


@given(st.sampled_from(ENDS), HOURS)
def test_the_remaining_quota_equals_a_count_by_hand(start: datetime, hours: list[int]) -> None:
    """Images come as hours pass, each while there is quota; none is ever refused or taken that should not be."""
    moment, taken, rows = start, list[datetime](), list[tuple[str, str, int, int]]()
    for passed in hours:
        moment += timedelta(hours=passed)
        use = quota_use(moment, [row[1:] for row in rows if row[0] == quota_period(moment)[1]])
        today = [earlier for earlier in taken if earlier.date() == moment.date()]
        this_month = [earlier for earlier in taken if (earlier.year, earlier.month) == (moment.year, moment.month)]
        assert (use.used_today, use.used_this_month) == (len(today), len(this_month))
        assert use.remaining_today == IMAGES_PER_DAY - len(today)
        if use.free_day_slots:
            rows.append((use.month, use.day, use.free_day_slots[-1], use.free_month_slots[-1]))
            taken.append(moment)
    assert len({(month, slot) for month, _, _, slot in rows}) == len(rows) == len({row[1:3] for row in rows})
