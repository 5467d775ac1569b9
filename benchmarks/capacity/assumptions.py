"""What the model assumes about people, machines and prices: nothing here was measured."""

from pathlib import Path

import msgspec

PRICES = Path(__file__).with_name("prices.json")
SECONDS_A_DAY = 86_400
DAYS_A_YEAR = 365
DAYS_A_MONTH = 30

Steps = list[tuple[float | None, float]]  # so many units at this price, and so on; None for all others


class Behaviour(msgspec.Struct, frozen=True):
    """What a registered user does on a day, in the mean of all; most do nothing."""

    live_share: float = 0.30  # seen within two weeks: their feeds are kept
    feed_pages: float = 4.0  # a fifth of all, twenty pages each
    cold_share: float = 0.25  # of the pages, that find nothing in Redis: the first ones of a visit
    other_reads: float = 4.0  # a quarter each of profiles, posts, comments, notifications
    likes: float = 2.0
    comments: float = 0.2
    follows: float = 0.05
    posts: float = 0.1
    images_a_post: float = 1.2
    following: int = 200
    images_a_page: float = 10.0  # of a feed's twenty posts, fetched from the CDN and not kept by the client
    pulled_in_mongodb: float = 0.75  # of the time that one more pulled author takes of a page; the rest is the API's
    sockets: float = 0.01  # of all users, at the peak
    upload_mb: float = 3.0  # a phone's photograph, of 12 megapixels
    peak: float = 3.0  # times the mean of the day


class Machines(msgspec.Struct, frozen=True):
    """What a server has, and how full it may be."""

    load: float = 0.5  # of a core at the peak: the rest is for bursts, deployments and lost machines
    members: int = 3  # of each shard
    shard_cores: int = 16
    shard_disk_gb: float = 2_000.0
    shard_memory_gb: float = 128.0
    hot_share: float = 0.05  # of what MongoDB stores, that is read all the time
    cache_share: float = 0.5  # of a member's memory, MongoDB's cache
    compressed: float = 0.2  # of an answer's bytes, when it goes over the network
    redis_post_kb: float = 2.0
    redis_feed_kb: float = 3.0
    redis_feed_seconds: float = 60.0  # the life of a first page
    redis_overhead: float = 2.0  # of memory: keys, fragmentation, one replica not counted


class Prices(msgspec.Struct, frozen=True):
    """One cloud's list prices, in dollars, of the day that they name."""

    list: str
    date: str
    hours_a_month: float
    compute_core_hour: float
    database_core_hour: float
    redis_gb_hour: float
    disk_gb_month: float
    s3_gb_month: Steps
    s3_put_thousand: float
    cdn_gb: Steps
    cdn_million_requests: float
    out_gb: Steps


def read_prices(file: Path = PRICES) -> Prices:
    return msgspec.json.decode(file.read_bytes(), type=Prices)


def stepped(amount: float, steps: Steps) -> float:
    """The price of an amount of which the first units cost more than the later ones."""
    price, left = 0.0, amount
    for size, unit_price in steps:
        part = left if size is None else min(left, size)
        price += part * unit_price
        left -= part
    return price
