"""What a page of the home feed costs, warm, cold and pulled, and how it grows: `python -m benchmarks.feed`.

The networks of all sizes exist side by side, and are read in turn, so whatever else the machine does affects them all.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from benchmarks.lib.feed_network import FOLLOWINGS, FeedNetwork
from benchmarks.lib.feed_reader import COLD, DOWN, PULLED, WARM, Reader
from benchmarks.lib.network_documents import FOLLOWED_EACH, LARGEST, POSTS_EACH
from benchmarks.lib.report import Table, median, percentile, rounds, show, times
from benchmarks.lib.servers import finish, servers, widen_cache
from config import Settings
from datasources.sources import Sources, open_sources
from tests.support.operation_counter import OperationCounter

LONGEST = 3_600.0  # seconds for everything, on however busy a machine
KEPT = ("posts", "users", "follows", "feed_entries")


def main(
    users: Annotated[
        list[int] | None,
        typer.Option(
            min=1_000,
            max=LARGEST,
            help=f"A network's size; {POSTS_EACH} posts, {FOLLOWED_EACH} follows each. Repeatable.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="For everything: rounds get what filling leaves, at least one.")
    ] = 960.0,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds at most, each of every kind of page in turn.")] = 60,
    seed: Annotated[int, typer.Option(help="Who is followed and what is liked.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads pages of feeds by GraphQL and, beside it, the same documents bare."""
    counter = OperationCounter.registered()
    sizes = sorted(set(users or [10_000, 100_000]))
    with servers() as settings:
        tables = finish(_measure(settings, counter, sizes, repeat, time.monotonic() + seconds, seed), LONGEST)
    show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(
    settings: Settings, counter: OperationCounter, sizes: Sequence[int], repeat: int, end: float, seed: int
) -> list[Table]:
    filled = Table("The networks", ["users", *(f"{name}, MB stored and of indexes" for name in KEPT), "filled in s"])
    async with contextlib.AsyncExitStack() as stack:
        networks = []
        for size in sizes:
            own = {"mongo_database": f"feed_{size}", "key_prefix": f"feed_{size}:"}
            sources = await stack.enter_async_context(open_sources(settings.model_copy(update=own)))
            networks.append(await _filled(sources, size, seed, filled))
        readers = list(_readers(networks))
        for reader in readers:
            await reader.prepare(counter)
        for number in rounds(repeat, end - time.monotonic()):
            print(f"round {number + 1}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            for reader in readers if number % 2 else readers[::-1]:
                await reader.read()
    growth = [_by_size(readers)] if len(sizes) > 1 else []
    return [filled, _pages(readers), *growth, _by_follows(readers)]


async def _filled(sources: Sources, size: int, seed: int, table: Table) -> FeedNetwork:
    await widen_cache(sources)
    started = time.perf_counter()
    network = await FeedNetwork.create(sources, size, seed)
    seconds, cells = time.perf_counter() - started, []
    for name in KEPT:
        stats = await sources.database.command("collStats", name)
        cells.append(f"{stats['count']:,}, {stats['totalSize'] / 1e6:,.0f}")
    table.rows.append([f"{size:,}", *cells, f"{seconds:.0f}"])
    print(f"filled {size:,} in {seconds:.0f} s", file=sys.stderr)
    return network


def _readers(networks: Sequence[FeedNetwork]) -> Iterator[Reader]:
    """In this order: by follows, by kind of page, by size of network."""
    for following in FOLLOWINGS:
        for way in (WARM, COLD, PULLED, *([DOWN] if following == FOLLOWINGS[-1] else [])):
            yield from (Reader(network, following, way) for network in networks if following in network.viewers)


def _pages(readers: Sequence[Reader]) -> Table:
    columns = ["users, follows, way", "operations", "p50 ms", "p99 ms", "CPU ms, ours", "CPU ms, MongoDB's"]
    against = ["p50 against warm", "CPU against warm", "our CPU against bare reads"]
    title = "A feed page: 20 posts with author and avatar, viewer's like, renditions, 3 comments each and their authors"
    table = Table(title, [*columns, *against])
    warm = {(reader.size, reader.following): reader for reader in readers if reader.way is WARM}
    for reader in sorted(readers, key=lambda reader: reader.size):
        base, own = warm[reader.size, reader.following], [load.own_cpu for load in reader.loads]
        table.rows.append(
            [
                f"{reader.size:,}, {reader.following:,}, {reader.way}",
                str(reader.operations),
                *(f"{percentile(reader.seconds, percent) * 1000:.1f}" for percent in (50, 99)),
                f"{median(own) * 1000:.1f}",
                f"{median([load.mongo_cpu for load in reader.loads]) * 1000:.1f}",
                *reader.against(base),
                times(own, [load.own_cpu for load in reader.bare]),
            ]
        )
    return table


def _by_size(readers: Sequence[Reader]) -> Table:
    """Each network against the smallest, by the same way for as many follows."""
    smallest, *larger = sorted({reader.size for reader in readers})
    columns = [f"{size:,}: {what}" for size in larger for what in ("p50", "CPU")]
    table = Table(f"Growth with the network: times what it is among {smallest:,}", ["follows, way", *columns])
    by_kind = {(reader.following, reader.way, reader.size): reader for reader in readers}
    for base in readers:
        if base.size == smallest:
            others = [by_kind[base.following, base.way, size] for size in larger]
            cells = [cell for reader in others for cell in reader.against(base)]
            table.rows.append([f"{base.following:,}, {base.way}", *cells])
    return table


def _by_follows(readers: Sequence[Reader]) -> Table:
    """Each number of follows against the smallest, by the same way in the same network."""
    fewest, *more = FOLLOWINGS
    columns = [f"{following:,}: {what}" for following in more for what in ("p50", "CPU")]
    table = Table(f"Growth with follows: times what it is with {fewest}", ["users, way", *columns])
    by_kind = {(reader.size, reader.way, reader.following): reader for reader in readers}
    for base in sorted(readers, key=lambda reader: reader.size):
        if base.following == fewest:
            others = [by_kind.get((base.size, base.way, following)) for following in more]
            cells = [cell for reader in others for cell in (("", "") if reader is None else reader.against(base))]
            table.rows.append([f"{base.size:,}, {base.way}", *cells])
    return table


if __name__ == "__main__":
    typer.run(main)
