"""What a page of the home feed costs, in networks of any size, kept, cold and pulled: `python -m benchmarks.feed`."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from benchmarks.feed_world import FeedWorld
from benchmarks.operations import OperationCounter
from benchmarks.report import Table, median, percentile, rounds, show, times
from benchmarks.stack import Api, Load, Stopwatch, finish, servers, session_of, stores
from config import Settings

LONGEST = 1_800.0  # seconds for everything, on however busy a machine
INSERT_SECONDS = 60.0  # for one bulk insert, on a machine that does much else
PAGES_AT_A_TIME = 3
PAGES_BUDGET = 60.0  # seconds of rounds for each network
DEEP = 10  # pages down
KEPT, COLD, PULLED, DOWN = "kept", "kept, Redis empty", "pulled, Redis empty", f"kept, {DEEP} pages down"
FEED = """
query Feed($after: String) {
  feed(first: 20, after: $after) {
    edges {
      cursor
      node {
        id caption createdAt likeCount commentCount viewerHasLiked
        location { name }
        author { id username displayName avatar { rendition(width: 150) { url } } }
        images { id width height altText blurHash rendition(width: 1080) { url width height format } }
        previewComments { id text createdAt viewerHasLiked author { id username } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def main(
    users: Annotated[
        list[int] | None, typer.Option(min=1_000, help="Sizes of networks; 2 posts and 5 follows each.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of every kind of page in turn.")] = 15,
    seed: Annotated[int, typer.Option(help="Who is followed and what is liked.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads pages of feeds by GraphQL and, beside it, the same documents bare."""
    counter = OperationCounter.installed()
    with servers() as settings:
        tables = finish(_measure(settings, counter, users or [10_000, 100_000], repeat, seed), LONGEST)
    show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(
    settings: Settings, counter: OperationCounter, sizes: Sequence[int], repeat: int, seed: int
) -> list[Table]:
    table = Table(
        "A feed page: 20 posts with author, viewer's like, renditions, 2 comments each and their authors",
        [
            "users, follows, way",
            "p50 ms",
            "p99 ms",
            "CPU ms, ours",
            "CPU ms, MongoDB's",
            "our CPU against bare reads",
            "operations",
        ],
    )
    for size in sizes:
        change = {"mongo_database": f"feed_{size}", "key_prefix": f"feed_{size}:", "mongo_timeout": INSERT_SECONDS}
        async with stores(settings.model_copy(update=change)) as sources:
            world = await FeedWorld.made(sources, size, seed)
            table.rows += await _pages(world, counter, repeat)
            await sources.client.drop_database(f"feed_{size}")
    return [table]


async def _pages(world: FeedWorld, counter: OperationCounter, repeat: int) -> list[list[str]]:
    readers = [Reader(world, following, way) for following in world.viewers for way in (KEPT, COLD, PULLED)]
    readers.append(Reader(world, max(world.viewers), DOWN))
    for reader in readers:
        await reader.prepare(counter)
    for _ in rounds(repeat, PAGES_BUDGET):
        for reader in readers:
            await reader.read()
    return [reader.row() for reader in readers]


class Reader:
    """One viewer who reads the same page again and again, by GraphQL and bare, and what it took."""

    def __init__(self, world: FeedWorld, following: int, way: str) -> None:
        self._world = world
        self._following = following
        self._way = way
        self._api = Api(world.sources)
        self._viewer = session_of(world.viewers[following])
        self._after: str | None = None
        self._seconds: list[float] = []
        self._loads: list[Load] = []
        self._bare: list[Load] = []
        self._operations = 0

    async def prepare(self, counter: OperationCounter) -> None:
        """Goes to the page, and counts what it asks of the database. Raises RuntimeError if it is not full."""
        await self._begin()
        for _ in range(DEEP if self._way is DOWN else 0):
            self._after = (await self._page())["pageInfo"]["endCursor"]
        await self._page()
        await self._chill()
        before = counter.count
        page = await self._page()
        self._operations = counter.count - before
        comments = sum(len(edge["node"]["previewComments"]) for edge in page["edges"])
        if (len(page["edges"]), comments) != (20, 40):
            raise RuntimeError(f"a page of {len(page['edges'])} posts and {comments} comments")

    async def read(self) -> None:
        """Some pages, and then as many bare."""
        await self._begin()
        await self._page()
        for _ in range(PAGES_AT_A_TIME):
            await self._chill()
            watch, started = Stopwatch(), time.perf_counter()
            await self._page()
            self._seconds.append(time.perf_counter() - started)
            self._loads.append(watch.load(1))
            watch = Stopwatch()
            await self._world.bare_page(self._viewer.user_id)
            self._bare.append(watch.load(1))

    def row(self) -> list[str]:
        """The table's row."""
        return [
            f"{self._world.size:,}, {self._following:,}, {self._way}",
            f"{percentile(self._seconds, 50) * 1000:.1f}",
            f"{percentile(self._seconds, 99) * 1000:.1f}",
            f"{median([load.own_cpu for load in self._loads]) * 1000:.1f}",
            f"{sum(load.mongo_cpu for load in self._loads) / len(self._seconds) * 1000:.1f}",
            times([load.own_cpu for load in self._loads], [load.own_cpu for load in self._bare]),
            str(self._operations),
        ]

    async def _begin(self) -> None:
        if self._way is PULLED:
            await self._world.forget(self._viewer.user_id)
        else:
            await self._world.keep(self._viewer.user_id)
        await self._world.sources.redis.flushdb()  # caches were not told

    async def _chill(self) -> None:
        if self._way in (COLD, PULLED):
            await self._world.sources.redis.flushdb()

    async def _page(self) -> Any:
        data = await self._api.run(FEED, self._viewer, after=self._after)
        return data["feed"]


if __name__ == "__main__":
    typer.run(main)
