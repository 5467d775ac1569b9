"""What a page of followers costs, of a thousand and of a million: `python -m benchmarks.followers`."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from bson import ObjectId

from benchmarks.lib.documents import follow, insert, users
from benchmarks.lib.loads import Load, Stopwatch
from benchmarks.lib.report import Table, median, percentile, rounds, show
from benchmarks.lib.servers import Api, finish, servers, session_of, stores
from config import Settings
from datasources.sources import Sources
from domain.ids import to_global_id
from domain.paging import encode_cursor

LONGEST = 900.0  # seconds for everything: a million edges take minutes to insert on a busy machine
BUDGET = 40.0  # seconds of rounds
PAGES_AT_A_TIME = 10
SIZE = 20
CHUNK = 50_000
FOLLOWERS = """
query Followers($id: ID!, $first: Int, $after: String, $last: Int) {
  node(id: $id) {
    ... on User {
      followers(first: $first, after: $after, last: $last) {
        edges { cursor node { id username displayName viewerFollowState avatar { rendition(width: 150) { url } } } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of every page in turn.")] = 30,
    largest: Annotated[int, typer.Option(min=1_000, help="How many follow the most followed.")] = 1_000_000,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads pages of followers by GraphQL: the latest, in the middle and the first ones, for three sizes of lists."""
    with servers() as settings:
        table = finish(_measure(settings, repeat, largest), LONGEST)
    show([table], ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, repeat: int, largest: int) -> Table:
    async with stores(settings) as sources:
        (viewer,) = await users(sources, 1)
        pages = [
            page
            for count in (1_000, max(1_000, largest // 10), largest)
            for page in await _pages(sources, count, viewer)
        ]
        for page in pages:
            await page.check()
        for _ in rounds(repeat, BUDGET):
            for page in pages:
                await page.read()
        columns = ["p50 ms", "CPU ms, ours", "CPU ms, MongoDB's", "CPU against 1,000", "keys read", "documents read"]
        table = Table(f"A page of {SIZE} followers", ["followers, page", *columns])
        table.rows += [page.row(pages[number % 3]) for number, page in enumerate(pages)]
        return table


async def _pages(sources: Sources, count: int, viewer: ObjectId) -> list["Page"]:
    """Pages of somebody with so many followers; only the followers on these pages have accounts."""
    (followee,) = await users(sources, 1)
    edges = [ObjectId() for _ in range(count)]
    middle = count // 2
    shown = {number for start in (0, middle, count - SIZE) for number in range(start, start + SIZE)}
    accounts = dict(zip(sorted(shown), await users(sources, len(shown)), strict=True))
    for start in range(0, count, CHUNK):
        rows = [
            follow(accounts.get(number, ObjectId()), followee, 0) | {"_id": edges[number]}
            for number in range(start, min(count, start + CHUNK))
        ]
        await insert(sources, "follows", rows)
    before_middle = encode_cursor(edges[middle + SIZE])
    asked: dict[str, dict[str, Any]] = {
        "latest": {"first": SIZE},
        "middle": {"first": SIZE, "after": before_middle},
        "first ones": {"last": SIZE},
    }
    return [Page(sources, f"{count:,}, {name}", followee, viewer, given) for name, given in asked.items()]


class Page:
    """One page of one list, read repeatedly, and what that took."""

    def __init__(
        self, sources: Sources, name: str, followee: ObjectId, viewer: ObjectId, given: dict[str, Any]
    ) -> None:
        self._sources = sources
        self._api = Api(sources)
        self._viewer = session_of(viewer)
        self._name = name
        self._variables = {"id": to_global_id("User", followee), **given}
        self._seconds: list[float] = []
        self._loads: list[Load] = []
        self._read = (0, 0)

    async def check(self) -> None:
        """Reads it once and notes what MongoDB examined. Raises RuntimeError if it is not full."""
        before = await self._examined()
        data = await self._page()
        keys, documents = await self._examined()
        self._read = (keys - before[0], documents - before[1])
        edges = data["node"]["followers"]["edges"]
        if len(edges) != SIZE:
            raise RuntimeError(f"{self._name}: a page of {len(edges)}")

    async def read(self) -> None:
        """Reads some pages, and notes what they took."""
        watch = Stopwatch()
        for _ in range(PAGES_AT_A_TIME):
            started = time.perf_counter()
            await self._page()
            self._seconds.append(time.perf_counter() - started)
        self._loads.append(watch.load(PAGES_AT_A_TIME))

    def row(self, base: "Page") -> Sequence[str]:
        """The table's row; `base` is the same page of the shortest list."""
        own, mongo = (sum(getattr(load, name) for load in self._loads) for name in ("own_cpu", "mongo_cpu"))
        ratios = [mine.cpu / theirs.cpu for mine, theirs in zip(self._loads, base._loads, strict=True)]  # noqa: SLF001
        return [
            self._name,
            f"{percentile(self._seconds, 50) * 1000:.1f}",
            f"{own / len(self._seconds) * 1000:.1f}",
            f"{mongo / len(self._seconds) * 1000:.1f}",
            f"{median(ratios):.2f} x",
            str(self._read[0]),
            str(self._read[1]),
        ]

    async def _page(self) -> Any:
        return await self._api.run(FOLLOWERS, self._viewer, **self._variables)

    async def _examined(self) -> tuple[int, int]:
        status = await self._sources.client.admin.command("serverStatus")
        executor = status["metrics"]["queryExecutor"]
        return int(executor["scanned"]), int(executor["scannedObjects"])


if __name__ == "__main__":
    typer.run(main)
