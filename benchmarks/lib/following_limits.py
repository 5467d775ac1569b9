"""Where pushing to a reader should end: what a page costs pushed and pulled, and the writing that pulling saves."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bson import ObjectId

from benchmarks.lib.documents import follow, insert, post, users
from benchmarks.lib.loads import Load, Stopwatch
from benchmarks.lib.report import Table, median, rounds
from benchmarks.lib.unit_costs import read_unit_costs
from datasources.feed.feed_states import HOLDS_ALL
from datasources.mongo import clock
from datasources.sources import Sources
from domain.limits import FOLLOWING_MAX
from domain.paging import PageRequest
from domain.records.feeds import FeedRecord

FOLLOWED = (200, 1_000, 2_000, 4_000, FOLLOWING_MAX)
POSTS = 4  # of each author
READS = 20
TRIMMED = 2_000  # entries
BUDGET = 40.0  # seconds of rounds
PAGE = PageRequest(limit=20)


async def measure_following_limits(sources: Sources) -> Table:
    """Posts a day are one of each followed; the cost of writing an entry is that of `unit_costs.json`."""
    authors = await users(sources, FOLLOWED[-1])
    for _ in range(POSTS):
        await insert(sources, "posts", [post(author) for author in authors])
    loads: dict[tuple[int, str], list[Load]] = {}
    ways = {number: await _ways(sources, authors[:number]) for number in FOLLOWED}
    for _ in rounds(5, BUDGET):
        for number, of in ways.items():
            for name, read in of.items():
                await read()
                watch = Stopwatch()
                for _ in range(READS):
                    await read()
                loads.setdefault((number, name), []).append(watch.load(READS))
    costs = read_unit_costs()
    entry = sum(costs.figure("an entry, 1,000 followers", part) for part in ("worker_ms", "mongodb_ms"))
    entry += await _trimming(sources) * 1000
    table = Table(
        f"A page of who follows so many; writing and trimming an entry takes {entry * 1000:.0f} us",
        [
            "followed",
            "live, cached, CPU ms",
            "live, CPU ms",
            "pulled, CPU ms",
            "pulled, ms",
            "CPU ms a day to push a post of each",
            "pages a day that cost as much",
        ],
    )
    for number in FOLLOWED:
        cached, live, pulled = (loads[number, name] for name in ("cached", "live", "pulled"))
        pushing = number * entry
        more = _cpu_ms(pulled) - _cpu_ms(live)
        wait = median([load.seconds / load.done for load in pulled]) * 1000
        table.rows.append(
            [
                f"{number:,}",
                *(f"{_cpu_ms(each):.2f}" for each in (cached, live, pulled)),
                f"{wait:.1f}",
                f"{pushing:,.0f}",
                f"{pushing / more:,.0f}",
            ]
        )
    return table


async def _ways(sources: Sources, authors: Sequence[ObjectId]) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    """A read of the first page of somebody who follows these authors, live and pulled."""
    live, pulled = ObjectId(), ObjectId()
    now = clock.now()
    for viewer in (live, pulled):
        await insert(sources, "follows", [follow(viewer, author, slot) for slot, author in enumerate(authors)])
    posts = sources.database["posts"].find({"author_id": {"$in": list(authors)}}, {"author_id": 1}, sort=[("_id", -1)])
    retained = await posts.limit(sources.settings.feed_retained_entries).to_list()
    entries = [{"_id": {"o": live, "p": row["_id"]}, "a": row["author_id"]} for row in retained]
    await insert(sources, "feed_entries", entries)
    floor = retained[-1]["_id"] if len(authors) * POSTS > len(retained) else HOLDS_ALL
    seen = {"seen_at": now, "version": 1}
    await insert(sources, "feeds", [{"_id": live, "live": True, "floor": floor, **seen}])
    await insert(sources, "feeds", [{"_id": pulled, "live": False, "pulled": True, **seen}])
    return {
        "cached": partial(sources.home_feed.page, live, PAGE),
        "live": partial(sources.home_feed.peek, live, PAGE),
        "pulled": partial(sources.home_feed.page, pulled, PAGE),
    }


async def _trimming(sources: Sources) -> float:
    """Processor seconds that deleting an entry takes, when a feed is trimmed."""
    owner, loads = ObjectId(), list[Load]()
    await insert(sources, "feeds", [{"_id": owner, "live": True, "floor": HOLDS_ALL, "version": 1}])
    for _ in rounds(5, BUDGET):
        ids = [{"o": owner, "p": ObjectId()} for _ in range(TRIMMED)]
        await insert(sources, "feed_entries", [{"_id": each, "a": owner} for each in ids])
        watch = Stopwatch()
        await sources.feed_entries.clear(FeedRecord(id=owner, live=True, version=1))
        loads.append(watch.load(TRIMMED))
    return median([load.cpu for load in loads])


def _cpu_ms(loads: Sequence[Load]) -> float:
    return median([load.cpu for load in loads]) * 1000
