"""What a page of the home feed costs, and fan-out: `python -m benchmarks.feed`."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from bson import ObjectId

from benchmarks.feed_world import FOLLOWINGS, FeedWorld
from benchmarks.operations import OperationCounter
from benchmarks.report import Table, median, percentile, rounds, show, times
from benchmarks.stack import Api, Load, Stopwatch, finish, servers, session_of, stores
from benchmarks.world import insert, post, users
from config import Settings
from datasources.outbox import owing
from datasources.sources import Sources
from domain.events import Effect
from workers.feed import CHUNK, fan_out
from workers.work import Tools

LONGEST = 120.0  # seconds for everything, on however busy a machine
PAGES_AT_A_TIME = 10
PAGES_BUDGET, FAN_OUT_BUDGET = 25.0, 12.0  # seconds of rounds
FOLLOWERS = 10_000
DEEP = 10  # pages down
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
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of every kind of page in turn.")] = 15,
    authors: Annotated[int, typer.Option(min=1_000, help="Users who post; 10 posts each.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Who is followed and what is liked.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads pages of feeds by GraphQL and, beside it, the same documents bare; fans posts out beside bare inserts."""
    counter = OperationCounter.installed()
    with servers() as settings:
        tables = finish(_measure(settings, counter, repeat, authors, seed), LONGEST)
    show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, counter: OperationCounter, repeat: int, authors: int, seed: int) -> list[Table]:
    async with stores(settings) as sources:
        world = await FeedWorld.made(sources, authors, seed)
        pages = await _pages(world, counter, repeat)
        return [pages, await _fan_outs(sources)]


async def _pages(world: FeedWorld, counter: OperationCounter, repeat: int) -> Table:
    table = Table(
        "A feed page: 20 posts with author, viewer's like, renditions, 2 comments each and their authors",
        [
            "viewer follows",
            "p50 ms",
            "p99 ms",
            "CPU ms, ours",
            "CPU ms, MongoDB's",
            "our CPU against bare reads",
            "operations",
        ],
    )
    readers = [Reader(world, following) for following in FOLLOWINGS]
    readers.append(Reader(world, FOLLOWINGS[-1], deep=True))
    for reader in readers:
        await reader.prepare(counter)
    for _ in rounds(repeat, PAGES_BUDGET):
        for reader in readers:
            await reader.read()
    table.rows += [reader.row() for reader in readers]
    return table


class Reader:
    """One viewer who reads the same page again and again, by GraphQL and bare, and what it took."""

    def __init__(self, world: FeedWorld, following: int, *, deep: bool = False) -> None:
        self._world = world
        self._following = following
        self._api = Api(world.sources)
        self._viewer = session_of(world.viewers[following])
        self._deep = deep
        self._after: str | None = None
        self._seconds: list[float] = []
        self._loads: list[Load] = []
        self._bare: list[Load] = []
        self._operations = 0

    async def prepare(self, counter: OperationCounter) -> None:
        """Goes to the page, and counts what it asks of the database. Raises RuntimeError if it is not full."""
        for _ in range(DEEP if self._deep else 0):
            self._after = (await self._page())["pageInfo"]["endCursor"]
        before = counter.count
        page = await self._page()
        self._operations = counter.count - before
        comments = sum(len(edge["node"]["previewComments"]) for edge in page["edges"])
        if (len(page["edges"]), comments) != (20, 40):
            raise RuntimeError(f"a page of {len(page['edges'])} posts and {comments} comments")

    async def read(self) -> None:
        """Some pages, and then as many bare."""
        watch = Stopwatch()
        for _ in range(PAGES_AT_A_TIME):
            started = time.perf_counter()
            await self._page()
            self._seconds.append(time.perf_counter() - started)
        self._loads.append(watch.load(PAGES_AT_A_TIME))
        watch = Stopwatch()
        for _ in range(PAGES_AT_A_TIME):
            await self._world.bare_page(self._viewer.user_id)
        self._bare.append(watch.load(PAGES_AT_A_TIME))

    def row(self) -> list[str]:
        """The table's row."""
        cpu = [load.own_cpu / load.done * 1000 for load in self._loads]
        return [
            f"{self._following:,}" + (f", {DEEP} pages down" if self._deep else ""),
            f"{percentile(self._seconds, 50) * 1000:.1f}",
            f"{percentile(self._seconds, 99) * 1000:.1f}",
            f"{median(cpu):.1f}",
            f"{sum(load.mongo_cpu for load in self._loads) / len(self._seconds) * 1000:.1f}",
            times([load.own_cpu for load in self._loads], [load.own_cpu for load in self._bare]),
            str(self._operations),
        ]

    async def _page(self) -> Any:
        data = await self._api.run(FEED, self._viewer, after=self._after)
        return data["feed"]


async def _fan_outs(sources: Sources) -> Table:
    """Posts of one author to all followers, and the same rows bare, in turn."""
    (author,) = await users(sources, 1)
    followers = [ObjectId() for _ in range(FOLLOWERS)]
    follows = [{"follower_id": one, "followee_id": author, "state": "FOLLOWING", "version": 1} for one in followers]
    await insert(sources, "follows", follows)
    pushed, bare = [], []
    for _ in rounds(5, FAN_OUT_BUDGET):
        pushed.append(await _pushed(sources, author))
        bare.append(await _bare(sources, author, followers))
    table = Table(
        f"Fan-out of a post to {FOLLOWERS:,} followers",
        ["way", "entries/s", "CPU s, ours", "CPU s, MongoDB's", "rate against bare", "CPU against bare"],
    )
    for name, loads in (("workers.feed.fan_out", pushed), ("insert_many of the same rows", bare)):
        table.rows.append(
            [
                name,
                f"{median([load.rate for load in loads]):,.0f}",
                f"{median([load.own_cpu for load in loads]):.2f}",
                f"{median([load.mongo_cpu for load in loads]):.2f}",
                times([load.rate for load in loads], [load.rate for load in bare]),
                times([load.cpu for load in loads], [load.cpu for load in bare]),
            ]
        )
    return table


async def _pushed(sources: Sources, author: ObjectId) -> Load:
    row = post(author) | owing([Effect.FAN_OUT], ObjectId().generation_time)
    await sources.database["posts"].insert_one(row)
    watch = Stopwatch()
    await fan_out(Tools(sources=sources), str(row["_id"]))
    return watch.load(FOLLOWERS)


async def _bare(sources: Sources, author: ObjectId, followers: Sequence[ObjectId]) -> Load:
    post_id, entries = ObjectId(), sources.database["bare_entries"]
    watch = Stopwatch()
    for start in range(0, FOLLOWERS, CHUNK):
        chunk = followers[start : start + CHUNK]
        rows = [{"_id": {"o": owner_id, "p": post_id}, "a": author} for owner_id in chunk]
        await entries.insert_many(rows, ordered=False)
    return watch.load(FOLLOWERS)


if __name__ == "__main__":
    typer.run(main)
