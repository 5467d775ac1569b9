"""From measured unit costs to machines, shards, storage, bandwidth and money for any number of users: arithmetic."""

from math import ceil

import msgspec

from benchmarks.capacity.assumptions import (
    DAYS_A_MONTH,
    DAYS_A_YEAR,
    SECONDS_A_DAY,
    Behaviour,
    Machines,
    Prices,
    stepped,
)
from benchmarks.lib.unit_costs import UnitCosts
from benchmarks.lib.zipf import ZipfNetwork

PUSH_LIMIT = 10_000  # `PHOTOGRAM_FEED_PUSH_LIMIT`
ENTRIES_A_FEED = 750  # trimmed daily to 500
ENTRY_BYTES = 100  # stored; 55 to 108 measured
PARTS = ("worker_ms", "mongodb_ms")
READS = ("profile", "post", "comments", "notifications")


class Rates(msgspec.Struct, frozen=True):
    """How often each thing happens a second, in the mean of a day."""

    feed_pages: float
    other_reads: float
    likes: float
    comments: float
    follows: float
    posts: float
    uploads: float
    entries: float


class Cores(msgspec.Struct, frozen=True):
    """Cores kept busy in the mean of a day, by who computes."""

    api: float
    rendering: float
    feed: float
    counters: float
    notifications: float
    mongodb: float
    redis: float

    @property
    def workers(self) -> float:
        return self.rendering + self.feed + self.counters + self.notifications


class Stored(msgspec.Struct, frozen=True):
    """Gigabytes of one copy, a year after the start at full size."""

    users: float
    follows: float
    posts: float
    likes: float
    comments: float
    notifications: float
    feed_entries: float
    images: float

    @property
    def mongodb(self) -> float:
        return float(sum(msgspec.structs.astuple(self))) - self.images


class Bandwidth(msgspec.Struct, frozen=True):
    """Gigabits a second at the peak."""

    uploads: float
    answers: float
    images: float


class Plan(msgspec.Struct, frozen=True):
    """What so many users need."""

    users: int
    rates: Rates
    cores: Cores
    stored: Stored
    bandwidth: Bandwidth
    api_cores: int
    worker_cores: int
    shards: int
    redis_gb: float
    dollars: dict[str, float]  # a month, by what they are for


class Model(msgspec.Struct, frozen=True):
    """Measured unit costs, and what is assumed."""

    costs: UnitCosts
    prices: Prices
    behaviour: Behaviour = Behaviour()
    machines: Machines = Machines()

    def plan(self, users: int) -> Plan:
        """Everything for so many registered users, of whom `Behaviour` says what they do."""
        rates, stored = self.rates(users), self.stored(users)
        cores, bandwidth = self.cores(users, rates), self.bandwidth(rates)
        api_cores, worker_cores = self._machine_cores(cores.api), self._machine_cores(cores.workers)
        shards, redis_gb = self.shards(cores.mongodb, stored.mongodb), self.redis_gb(rates)
        dollars = self._dollars(rates, stored, bandwidth, api_cores, worker_cores, shards, redis_gb)
        return Plan(users, rates, cores, stored, bandwidth, api_cores, worker_cores, shards, redis_gb, dollars)

    def rates(self, users: int) -> Rates:
        of, daily = self.behaviour, users / SECONDS_A_DAY
        posts = of.posts * daily
        return Rates(
            feed_pages=of.feed_pages * daily,
            other_reads=of.other_reads * daily,
            likes=of.likes * daily,
            comments=of.comments * daily,
            follows=of.follows * daily,
            posts=posts,
            uploads=posts * of.images_a_post,
            entries=posts * self.entries_a_post(users),
        )

    def entries_a_post(self, users: int) -> float:
        """How many live feeds a post is pushed to in the mean: its author has at most `PUSH_LIMIT` followers."""
        pushed = 1 - ZipfNetwork(users, self.behaviour.following).share_above(PUSH_LIMIT)
        return self.behaviour.following * pushed * self.behaviour.live_share

    def pulled_authors(self, users: int) -> float:
        """How many of those whom a reader follows are pulled, in the mean: on every page of their feed."""
        return self.behaviour.following * ZipfNetwork(users, self.behaviour.following).share_above(PUSH_LIMIT)

    def cores(self, users: int, rates: Rates) -> Cores:
        """Cores that are busy: what happens, times what each takes."""
        cold, of = self.behaviour.cold_share, self.costs.figure
        counted = (
            ("count likes of a post each", rates.likes),
            ("count comments on a post each", rates.comments),
            ("count likes of a post each", 2 * rates.follows),  # both ends have a counter
        )
        notified = rates.likes + rates.comments + rates.follows
        fan_outs = [(self.fan_out_ms(part), rates.posts, self.entry_ms(part), rates.entries) for part in PARTS]
        of_feed, of_mongodb = (posts * fixed + entries * each for fixed, posts, each, entries in fan_outs)
        pulled_ms = rates.feed_pages * self.pulled_authors(users) * of("pulled author", "cpu_ms")
        share = self.behaviour.pulled_in_mongodb
        return Cores(
            api=(self._requests("api_ms", rates, cold) + (1 - share) * pulled_ms) / 1000,
            rendering=rates.uploads * of("render an image", "all_ms") / 1000,
            feed=of_feed / 1000,
            counters=sum(rate * of(name, "worker_ms") for name, rate in counted) / 1000,
            notifications=notified * of("notify likes of a post each", "worker_ms") / 1000,
            mongodb=(
                self._requests("mongodb_ms", rates, cold)
                + of_mongodb
                + share * pulled_ms
                + sum(rate * of(name, "mongodb_ms") for name, rate in counted)
                + notified * of("notify likes of a post each", "mongodb_ms")
            )
            / 1000,
            redis=self._requests("redis_ms", rates, cold) / 1000,
        )

    def _requests(self, figure: str, rates: Rates, cold: float) -> float:
        """Milliseconds a second that the requests of clients take of one server."""
        of = self.costs.figure
        reads = sum(of(f"{name}: warm", figure) for name in READS) / len(READS)
        pages = (1 - cold) * of("feed, demo: warm", figure) + cold * of("feed, demo: Redis empty", figure)
        total = rates.feed_pages * pages + rates.other_reads * reads
        if figure != "redis_ms":  # of mutations it is a twentieth
            total += rates.likes * of("likePost", figure) + rates.comments * of("addComment", figure)
            total += rates.follows * of("followUser", figure) + rates.uploads * 2 * of("createUpload", figure)
        return total

    def entry_ms(self, figure: str) -> float:
        """What an entry costs in a long fan-out, the dearest one."""
        return self.costs.figure("an entry, 10,000 followers", figure)

    def fan_out_ms(self, figure: str) -> float:
        """What a fan-out costs besides its entries."""
        return 10 * (self.costs.figure("an entry, 10 followers", figure) - self.entry_ms(figure))

    def stored(self, users: int) -> Stored:
        of, yearly = self.behaviour, users * DAYS_A_YEAR

        def gigabytes(count: float, what: str) -> float:
            return count * self.costs.figure("bytes of a document", f"{what}_bytes") / 1e9

        return Stored(
            users=gigabytes(users, "user"),
            follows=gigabytes(users * of.following, "follow"),
            posts=gigabytes(yearly * of.posts, "post") + gigabytes(yearly * of.posts * of.images_a_post, "upload"),
            likes=gigabytes(yearly * of.likes, "like"),
            comments=gigabytes(yearly * of.comments, "comment"),
            notifications=gigabytes(yearly * (of.likes + of.comments + of.follows), "notification"),
            feed_entries=users * of.live_share * ENTRIES_A_FEED * ENTRY_BYTES / 1e9,
            images=yearly * of.posts * of.images_a_post * self.image_kb / 1e6,
        )

    @property
    def image_kb(self) -> float:
        """Kilobytes of all renditions of one image; the squares are a hundredth of them."""
        return sum(self.costs.measurements["renditions of an image"].figures.values()) * 1.01

    def bandwidth(self, rates: Rates) -> Bandwidth:
        of, kilobytes = self.behaviour, self.costs.measurements["bytes of an answer"].figures
        others = sum(kilobytes[f"{name}_kb"] for name in READS) / len(READS)
        answers = (rates.feed_pages * kilobytes["feed_kb"] + rates.other_reads * others) * self.machines.compressed
        shown = self.costs.figure("renditions of an image", "webp_1080_kb")
        return Bandwidth(
            uploads=of.peak * rates.uploads * of.upload_mb * 8 / 1e3,
            answers=of.peak * answers * 8 / 1e6,
            images=of.peak * rates.feed_pages * of.images_a_page * shown * 8 / 1e6,
        )

    def shards(self, cores: float, gigabytes: float) -> int:
        """As many as their processors, disks or caches need, whichever is most."""
        of = self.machines
        return max(
            ceil(cores * self.behaviour.peak / of.load / of.shard_cores),
            ceil(gigabytes / of.shard_disk_gb),
            ceil(gigabytes * of.hot_share / (of.shard_memory_gb * of.cache_share)),
        )

    def redis_gb(self, rates: Rates) -> float:
        """First pages of a minute, and the posts on them if each page brought one that nobody else reads."""
        of = self.machines
        pages = self.behaviour.peak * rates.feed_pages * of.redis_feed_seconds
        return pages * (of.redis_feed_kb + of.redis_post_kb) * of.redis_overhead / 1e6

    def sockets_gb(self, users: int) -> float:
        """Memory of API processes for the sockets that are open at the peak."""
        return users * self.behaviour.sockets * self.costs.figure("an idle socket", "memory_kib") * 1024 / 1e9

    def _machine_cores(self, busy: float) -> int:
        """Cores for the peak; two at least, so that one may be lost."""
        return max(2, ceil(busy * self.behaviour.peak / self.machines.load))

    def _dollars(
        self,
        rates: Rates,
        stored: Stored,
        bandwidth: Bandwidth,
        api_cores: int,
        worker_cores: int,
        shards: int,
        redis_gb: float,
    ) -> dict[str, float]:
        of, prices, month = self.machines, self.prices, DAYS_A_MONTH * SECONDS_A_DAY
        gigabytes = month / 8 / self.behaviour.peak  # a month, of a gigabit a second at the peak
        images = rates.feed_pages * self.behaviour.images_a_page * month
        members, hours = shards * of.members, prices.hours_a_month
        files = rates.uploads * month * (1 + len(self.costs.measurements["renditions of an image"].figures) + 2)
        return {
            "API": api_cores * prices.compute_core_hour * hours,
            "workers": worker_cores * prices.compute_core_hour * hours,
            "MongoDB": members * of.shard_cores * prices.database_core_hour * hours
            + max(stored.mongodb * of.members * 1.5, members * 100) * prices.disk_gb_month,
            "Redis": max(1.0, redis_gb) * 2 * prices.redis_gb_hour * hours,
            "S3": stepped(stored.images, prices.s3_gb_month) + files / 1000 * prices.s3_put_thousand,
            "answers": stepped(bandwidth.answers * gigabytes, prices.out_gb),
            "CDN": stepped(bandwidth.images * gigabytes, prices.cdn_gb) + images / 1e6 * prices.cdn_million_requests,
        }
