"""Figures that an early brief of the product named, and what they come to."""

from benchmarks.capacity.assumptions import DAYS_A_YEAR, SECONDS_A_DAY
from benchmarks.lib.report import Table
from domain.limits import IMAGES_PER_DAY

IMAGE_MB = 5
USERS = 10**9
BURST, BURST_SECONDS = 100_000, 5
CLAIMED_GBPS = 50
CLAIMED_A_MONTH = 500
LONGEST_MONTH = 31


def burst_gbps() -> float:
    """Gigabits a second of all images at once."""
    return BURST * IMAGE_MB * 8 / 1000 / BURST_SECONDS


def petabytes_a_day() -> float:
    """If everybody sends what they may."""
    return USERS * IMAGES_PER_DAY * IMAGE_MB / 1e9


def brief_table() -> Table:
    """What was said, what it comes to, and by how much they differ."""
    daily, monthly = petabytes_a_day(), IMAGES_PER_DAY * LONGEST_MONTH
    gbps, factor = burst_gbps(), burst_gbps() / CLAIMED_GBPS
    table = Table("The brief's figures", ["said", "in truth", "which is"])
    table.rows = [
        [
            f"{BURST:,} images of {IMAGE_MB} MB in {BURST_SECONDS} s are {CLAIMED_GBPS} Gbps",
            f"{BURST * IMAGE_MB / 1000:.0f} GB, {gbps:.0f} Gbps",
            f"{factor:.0f} times as much; over {CLAIMED_GBPS} Gbps they take {BURST_SECONDS * factor:.0f} s",
        ],
        [
            f"{IMAGES_PER_DAY} images a day, {CLAIMED_A_MONTH} a month",
            f"at most {monthly} a month",
            f"{monthly / CLAIMED_A_MONTH:.0%} of it: the month's limit never binds",
        ],
        [
            f"{IMAGE_MB} MB x {IMAGES_PER_DAY} a day, of {USERS:.0e} users".replace("e+0", "0^").replace("100^", "10^"),
            f"{daily:.0f} PB a day, {daily * DAYS_A_YEAR / 1000:.0f} EB a year",
            f"{daily * 8e6 / SECONDS_A_DAY:,.0f} Gbps all day: a bound, not a forecast",
        ],
    ]
    return table
