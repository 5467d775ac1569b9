"""Where pushing should end: what each limit costs a post and a read, by measured costs and a Zipf graph."""

from collections.abc import Sequence

from bson import ObjectId

from benchmarks.lib.documents import insert, post, users
from benchmarks.lib.loads import Load, Stopwatch
from benchmarks.lib.report import Table, median, rounds
from benchmarks.lib.unit_costs import save_unit_costs
from benchmarks.lib.zipf import ZipfNetwork
from datasources.feed.feed_states import HOLDS_ALL
from datasources.mongo import clock
from datasources.sources import Sources
from domain.paging import PageRequest

PULLED = (0, 1, 5, 20, 50, 200)  # authors that a read pulls
POSTS = 10  # of each author
ENTRIES = 500
READS = 20
BUDGET = 20.0  # seconds of rounds
LIMITS = (100, 1_000, 10_000, 100_000, 1_000_000, 10**9)
PEOPLE, FOLLOWING = (1_000_000, 100_000_000), 200  # of the graphs, and whom each follows in the mean
READS_A_POST = 20  # reads of first pages for each post that is made, by everybody


async def measure_push_limits(sources: Sources, push: float, rate: float, *, save: bool) -> list[Table]:
    """The costs of reads that pull, and of every limit; `push` is an entry's processor seconds, `rate` one worker's."""
    reads = await _reads(sources)
    table = Table("A feed's skeleton of 20 posts, 500 entries kept", ["authors pulled", "CPU ms", "CPU ms more"])
    none = reads[0]
    if save:
        save_unit_costs({"pulled author": {"cpu_ms": (reads[PULLED[-1]] - none) / PULLED[-1] * 1000}})
    table.rows += [[str(n), f"{cpu * 1e3:.2f}", f"{(cpu - none) * 1e3:.2f}"] for n, cpu in reads.items()]
    return [table, *(_limits(people, push, rate, reads) for people in PEOPLE)]


async def _reads(sources: Sources) -> dict[int, float]:
    """Processor seconds of a read by the number of authors it pulls."""
    authors = await users(sources, PULLED[-1])
    await insert(sources, "posts", [post(author) for _ in range(POSTS) for author in authors])
    viewers = {number: await _viewer(sources, authors[:number]) for number in PULLED}
    loads: dict[int, list[Load]] = {number: [] for number in PULLED}
    for _ in rounds(8, BUDGET):
        for number, viewer in viewers.items():
            watch = Stopwatch()
            for _ in range(READS):
                await sources.home_feed.peek(viewer, PageRequest(limit=20))
            loads[number].append(watch.load(READS))
    return {number: median([load.cpu for load in of]) for number, of in loads.items()}


async def _viewer(sources: Sources, pulled: Sequence[ObjectId]) -> ObjectId:
    """A viewer with a full feed who follows these authors, all of them pulled."""
    viewer, now = ObjectId(), clock.now()
    follow = {"follower_id": viewer, "state": "FOLLOWING", "version": 1, "pulled": True}
    await insert(sources, "follows", [{**follow, "followee_id": author} for author in pulled])
    await insert(
        sources, "feed_entries", [{"_id": {"o": viewer, "p": ObjectId()}, "a": viewer} for _ in range(ENTRIES)]
    )
    await insert(sources, "feeds", [{"_id": viewer, "live": True, "floor": HOLDS_ALL, "seen_at": now, "version": 1}])
    return viewer


def _limits(people: int, push: float, rate: float, reads: dict[int, float]) -> Table:
    """The mean costs in a network by Zipf's law.

    Authors post equally often; everybody who follows reads, so this is the dearest case of pushing.
    """
    table = Table(
        f"Limits, {people:,} people who follow {FOLLOWING} each (Zipf), {READS_A_POST} reads a post",
        [
            "limit",
            "authors above it",
            "entries a post",
            "CPU ms a post",
            "longest fan-out, s of one worker",
            "pulled a read",
            "CPU ms a read, more",
            "CPU ms, a post and its reads",
        ],
    )
    network = ZipfNetwork(people, FOLLOWING)
    for limit in LIMITS:
        share = network.share_above(limit)
        entries, pulled = FOLLOWING * (1 - share), FOLLOWING * share
        more = _between(reads, pulled)
        together = entries * push + READS_A_POST * more
        table.rows.append(
            [
                f"{limit:,}" if limit < 10**9 else "none",
                f"{network.authors_above(limit):,}",
                f"{entries:.0f}",
                f"{entries * push * 1e3:.2f}",
                f"{min(limit, network.most_followers) / rate:,.1f}",
                f"{pulled:.0f}",
                f"{more * 1e3:.2f}",
                f"{together * 1e3:.1f}",
            ]
        )
    return table


def _between(reads: dict[int, float], pulled: float) -> float:
    """How much more pulling so many costs than pulling none, interpolated between two measured numbers."""
    numbers = sorted(reads)
    low = max(number for number in numbers if number <= pulled)
    high = min((number for number in numbers if number >= pulled), default=low)
    part = (pulled - low) / (high - low) if high > low else 0.0
    return max(0.0, reads[low] + part * (reads[high] - reads[low]) - reads[0])
