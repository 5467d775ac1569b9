"""The tables of `docs/scaling.md`: what the model and the simulation say, as text."""

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.capacity.brief import brief_table
from benchmarks.capacity.bursts import (
    COUNTED_GOAL,
    ORDINARY_GOAL,
    READY_GOAL,
    LargeFanOut,
    LikeBurst,
    UploadBurst,
)
from benchmarks.capacity.model import Model, Plan
from benchmarks.lib.report import Table, median, percentile

SIZES = {10**6: "10^6", 10**8: "10^8", 10**9: "10^9"}


def plan_tables(model: Model) -> dict[str, Table]:
    """Tables of machines, bytes and money, by the name that marks their place in the document."""
    plans, peak = [model.plan(users) for users in SIZES], model.behaviour.peak
    return {
        "brief": brief_table(),
        "actions": _table(
            "Actions a second at the peak",
            plans,
            {
                "feed pages": lambda plan: plan.rates.feed_pages * peak,
                "other reads": lambda plan: plan.rates.other_reads * peak,
                "likes": lambda plan: plan.rates.likes * peak,
                "comments": lambda plan: plan.rates.comments * peak,
                "posts": lambda plan: plan.rates.posts * peak,
                "entries of feeds": lambda plan: plan.rates.entries * peak,
                "open sockets": lambda plan: plan.users * model.behaviour.sockets,
            },
        ),
        "machines": _table(
            "Machines, half busy at the peak",
            plans,
            {
                "cores of the API": lambda plan: plan.api_cores,
                "cores of workers": lambda plan: plan.worker_cores,
                "of them for rendering": lambda plan: plan.worker_cores * plan.cores.rendering / plan.cores.workers,
                "cores that MongoDB's primaries use": lambda plan: plan.cores.mongodb * peak,
                f"shards of three times {model.machines.shard_cores} cores": lambda plan: plan.shards,
                "GB of Redis": lambda plan: plan.redis_gb,
                "GB of the API for open sockets": lambda plan: model.sockets_gb(plan.users),
            },
        ),
        "bytes": _table(
            "Terabytes after a year, one copy, and gigabits a second at the peak",
            plans,
            {
                "users and follows": lambda plan: (plan.stored.users + plan.stored.follows) / 1000,
                "posts and uploads": lambda plan: plan.stored.posts / 1000,
                "likes": lambda plan: plan.stored.likes / 1000,
                "comments": lambda plan: plan.stored.comments / 1000,
                "notifications": lambda plan: plan.stored.notifications / 1000,
                "feed entries": lambda plan: plan.stored.feed_entries / 1000,
                "MongoDB, together": lambda plan: plan.stored.mongodb / 1000,
                "renditions in S3": lambda plan: plan.stored.images / 1000,
                "Gbps of uploads to S3": lambda plan: plan.bandwidth.uploads,
                "Gbps of answers": lambda plan: plan.bandwidth.answers,
                "Gbps of images from the CDN": lambda plan: plan.bandwidth.images,
            },
        ),
        "money": _table(
            "Thousands of dollars a month",
            plans,
            {
                **{name: partial(_thousands, name) for name in plans[0].dollars},
                "together": lambda plan: sum(plan.dollars.values()) / 1000,
                "cents a user": lambda plan: 100 * sum(plan.dollars.values()) / plan.users,
            },
        ),
    }


def burst_tables(
    uploads: Sequence[UploadBurst], likes: Sequence[LikeBurst], fan_outs: Sequence[LargeFanOut]
) -> dict[str, Table]:
    """Tables of the simulated bursts."""
    rendered = Table(
        "100,000 uploads in 5 s: seconds from the file",
        [
            "cores for rendering",
            "feed workers",
            "READY, p50",
            "p99",
            "in the last feed, p99",
            f"{READY_GOAL:.0f} s held",
        ],
    )
    rendered.rows = [
        [str(of.cores), str(of.feed_workers), *_seconds(of.ready), _p99(of.in_feeds), _held(of.ready, READY_GOAL)]
        for of in uploads
    ]
    counted = Table(
        "10^6 likes in 10 s: seconds until they are counted",
        ["likes of", "counters workers", "p50", "p99", f"{COUNTED_GOAL:.0f} s held"],
    )
    counted.rows = [[of.posts, str(of.workers), *_seconds(of.lags), _held(of.lags, COUNTED_GOAL)] for of in likes]
    large = Table(
        "A post to 10^6 followers: milliseconds of posts to 200 followers, p99",
        ["feed workers, queue", "without it", "beside it", "ratio", "its last follower, s", f"{ORDINARY_GOAL} x held"],
    )
    large.rows = [
        [
            f"{of.workers}, {'a lane of its own' if of.has_lane else 'one queue'}",
            f"{of.alone * 1000:.1f}",
            f"{of.beside * 1000:,.1f}",
            f"{of.beside / of.alone:,.1f} x",
            f"{of.last:.1f}",
            "yes" if of.beside <= ORDINARY_GOAL * of.alone else "no",
        ]
        for of in fan_outs
    ]
    return {"uploads": rendered, "likes": counted, "large": large}


def _thousands(name: str, plan: Plan) -> float:
    return plan.dollars[name] / 1000


def _table(title: str, plans: Sequence[Plan], rows: dict[str, Callable[[Plan], float]]) -> Table:
    table = Table(title, ["", *(f"{SIZES[plan.users]} users" for plan in plans)])
    table.rows = [[name, *(_figure(value(plan)) for plan in plans)] for name, value in rows.items()]
    return table


def _figure(value: float) -> str:
    """Three digits of it, or all before the point."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else f"{value:.1g}"


def _seconds(values: Sequence[float]) -> list[str]:
    return [f"{median(values):.1f}", _p99(values)]


def _p99(values: Sequence[float]) -> str:
    return f"{percentile(values, 99):.1f}"


def _held(values: Sequence[float], goal: float) -> str:
    return "yes" if percentile(values, 99) <= goal else "no"
