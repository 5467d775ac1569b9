"""Bursts as discrete events: how long things take until they are seen, by the number of workers.

A worker is a core that does one thing at a time. A task takes the measured processor time of the worker and of MongoDB,
one after the other; waiting for disks and networks is not in it.
"""

from collections.abc import Iterator
from functools import partial
from random import Random
from typing import NamedTuple

import simpy

from benchmarks.capacity.model import PARTS, Model
from benchmarks.capacity.queues import Events, Pool, run
from benchmarks.lib.report import percentile

UPLOADS, UPLOAD_SECONDS = 100_000, 5.0
UPLOADERS = 100_000_000  # users of the network in which this happens
RENDER_CORES = (100, 200, 400, 800)
RENDER_CORES_A_FEED_WORKER = 50

LIKES, LIKE_SECONDS = 1_000_000, 10.0
BATCH = 1_000  # likes that one transaction counts
COUNTERS = (1, 4, 16, 64)

FOLLOWERS = 1_000_000
CHUNK = 1_000  # followers that a feed worker takes at a time
ORDINARY_FOLLOWERS = 200
ORDINARY_LOAD = 0.3  # of the feed workers, by ordinary posts
ORDINARY_SECONDS = 20.0
PUBLISHED_AT = 1.0  # when the large one begins
FEED_WORKERS = (4, 8, 16, 32)
LANE_SHARE = 4  # one worker of so many takes large fan-outs and nothing else

READY_GOAL = 60.0  # seconds, of 99 % of the uploads
COUNTED_GOAL = 10.0
ORDINARY_GOAL = 1.5  # times the p99 without the large fan-out


class UploadBurst(NamedTuple):
    """Seconds from an upload's file to READY, and to the feed of its post's last follower, in the order of arrival."""

    cores: int
    feed_workers: int
    ready: list[float]
    in_feeds: list[float]


class LikeBurst(NamedTuple):
    """Seconds from a like to its count: a figure for each batch."""

    posts: str
    workers: int
    lags: list[float]


class LargeFanOut(NamedTuple):
    """One post to very many followers among ordinary ones: p99 of these, alone and beside it, and its last follower."""

    workers: int
    has_lane: bool
    alone: float
    beside: float
    last: float


def upload_bursts(model: Model) -> list[UploadBurst]:
    """100,000 uploads within five seconds."""
    return [_uploads(model, cores) for cores in RENDER_CORES]


def _uploads(model: Model, cores: int) -> UploadBurst:
    environment, workers = simpy.Environment(), max(1, cores // RENDER_CORES_A_FEED_WORKER)
    media, feed = Pool(environment, cores), Pool(environment, workers)
    render = model.costs.figure("render an image", "jpeg_ms") / 1000
    entries = model.entries_a_post(UPLOADERS)
    fan_out = sum(model.fan_out_ms(part) + entries * model.entry_ms(part) for part in PARTS) / 1000
    ready, in_feeds = [0.0] * UPLOADS, [0.0] * UPLOADS

    def arrive() -> Events:
        for number in range(UPLOADS):
            if number % 100 == 0:
                yield environment.timeout(UPLOAD_SECONDS * 100 / UPLOADS)
            media.submit(render, partial(rendered, number, environment.now))

    def rendered(number: int, came: float) -> None:
        ready[number] = environment.now - came
        feed.submit(fan_out, partial(seen, number, came))

    def seen(number: int, came: float) -> None:
        in_feeds[number] = environment.now - came

    run(environment, [arrive()])
    return UploadBurst(cores, workers, ready, in_feeds)


def like_bursts(model: Model) -> list[LikeBurst]:
    """A million likes within ten seconds, on one post, which one worker counts at a time, and on a post each."""
    one = _likes(model, "count likes of one post", 1)
    spread = [LikeBurst("a post each", each, _likes(model, "count likes of a post each", each)) for each in COUNTERS]
    return [LikeBurst("one post", COUNTERS[0], one), *spread]


def _likes(model: Model, action: str, workers: int) -> list[float]:
    environment = simpy.Environment()
    counters, lags = Pool(environment, workers), list[float]()
    count = BATCH * sum(model.costs.figure(action, part) for part in PARTS) / 1000

    def arrive() -> Events:
        for _ in range(LIKES // BATCH):
            yield environment.timeout(LIKE_SECONDS * BATCH / LIKES)
            counters.submit(count, partial(counted, environment.now))

    def counted(came: float) -> None:
        lags.append(environment.now - came)

    run(environment, [arrive()])
    return lags


def large_fan_outs(model: Model) -> list[LargeFanOut]:
    """A post to a million followers, all pushed to, in one queue with ordinary posts and in a lane of its own."""
    found = []
    for workers in FEED_WORKERS:
        alone, _ = _fan_outs(model, workers, 0, has_lane=False)
        for has_lane in (False, True):
            beside, last = _fan_outs(model, workers, FOLLOWERS, has_lane=has_lane)
            found.append(LargeFanOut(workers, has_lane, alone, beside, last))
    return found


def _fan_outs(model: Model, workers: int, followers: int, *, has_lane: bool) -> tuple[float, float]:
    """Seconds: the p99 of ordinary posts that come meanwhile, and until the last follower of the large one has it."""
    environment, chance = simpy.Environment(), Random(1)
    lane_workers = max(1, workers // LANE_SHARE) if has_lane else 0
    ordinary = Pool(environment, workers - lane_workers)
    large = Pool(environment, lane_workers) if has_lane else ordinary
    entry = sum(model.entry_ms(part) for part in PARTS) / 1000
    post = sum(model.fan_out_ms(part) for part in PARTS) / 1000 + ORDINARY_FOLLOWERS * entry
    waits, ends = list[tuple[float, float]](), [PUBLISHED_AT + 1.0]

    def arrive() -> Events:
        while environment.now < ORDINARY_SECONDS:
            yield environment.timeout(chance.expovariate(ORDINARY_LOAD * workers / post))
            ordinary.submit(post, partial(seen, environment.now))

    def seen(came: float) -> None:
        waits.append((came, environment.now - came))

    def publish() -> Events:
        yield environment.timeout(PUBLISHED_AT)
        for size in _chunks(followers):
            large.submit(size * entry, lambda: ends.append(environment.now))

    run(environment, [arrive(), publish()])
    beside = [wait for came, wait in waits if PUBLISHED_AT <= came <= ends[-1]]
    return percentile(beside, 99), ends[-1] - PUBLISHED_AT


def _chunks(followers: int) -> Iterator[int]:
    for start in range(0, followers, CHUNK):
        yield min(CHUNK, followers - start)
