"""What ranking the feed gains and costs: `python -m benchmarks.ranking`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from benchmarks.lib.feed_network import FeedNetwork
from benchmarks.lib.loads import Load, Stopwatch
from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.servers import Api, finish, servers, session_of
from benchmarks.lib.tastes import NOW, Viewer, viewers
from config import Settings
from datasources.sources import open_sources
from domain.feed_ranking import Candidate, rank_posts, score
from domain.limits import PAGE_SIZE_DEFAULT, RANKED_FEED_MAX
from tests.support.operation_counter import OperationCounter

LONGEST = 240.0  # seconds for everything, on however busy a machine
PAGES_AT_A_TIME = 5
BUDGET = 25.0  # seconds of rounds
FOLLOWING = 100
FEED = """
query Feed($first: Int, $after: String, $order: FeedOrder) {
  feed(first: $first, after: $after, order: $order) {
    edges {
      cursor %s
      node {
        id caption createdAt likeCount commentCount viewerHasLiked
        author { id username displayName avatar { rendition(width: 150) { url } } }
        images { id width height altText blurHash rendition(width: 1080) { url width height format } }
        previewComments { id text createdAt viewerHasLiked author { id username } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

Order = Callable[[Viewer], Sequence[Candidate]]


def _latest(viewer: Viewer) -> Sequence[Candidate]:
    return viewer.candidates[::-1]


def _ranked(viewer: Viewer) -> Sequence[Candidate]:
    return rank_posts(viewer.candidates, viewer.strengths, NOW)


def _without_affinity(viewer: Viewer) -> Sequence[Candidate]:
    return rank_posts(viewer.candidates, {}, NOW)


def _without_diversity(viewer: Viewer) -> Sequence[Candidate]:
    def points(post: Candidate) -> float:
        return score(post, viewer.strengths.get(post.author_id, 0.0), NOW)

    return sorted(viewer.candidates, key=points, reverse=True)


def _knowing_all(viewer: Viewer) -> Sequence[Candidate]:
    return sorted(viewer.candidates, key=viewer.chance, reverse=True)


ORDERS: Mapping[str, Order] = {
    "LATEST": _latest,
    "RANKED": _ranked,
    "RANKED without affinity": _without_affinity,
    "RANKED without diversity": _without_diversity,
    "by the truth itself": _knowing_all,
}


def precision(people: Sequence[Viewer], order: Order, *, bored: bool) -> float:
    """The share of the first page that viewers are expected to like, on average."""
    return sum(viewer.precision(order(viewer)[:PAGE_SIZE_DEFAULT], bored=bored) for viewer in people) / len(people)


def main(
    people: Annotated[int, typer.Option(min=1, help="Simulated viewers.")] = 100,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds of pages, each of every kind in turn.")] = 12,
    seed: Annotated[int, typer.Option(help="Who likes whom.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Ranks for simulated viewers of known tastes; then reads pages of both orders by GraphQL."""
    simulated = viewers(seed, count=people, authors=600, following=FOLLOWING, max_candidates=RANKED_FEED_MAX)
    gains = _gains(simulated, seed)
    counter = OperationCounter.registered()
    with servers() as settings:
        costs = finish(_costs(settings, counter, repeat, seed), LONGEST)
    show([gains, costs], ["pymongo", "strawberry-graphql"], markdown=markdown)


def _gains(people: Sequence[Viewer], seed: int) -> Table:
    table = Table(
        f"The first {PAGE_SIZE_DEFAULT} posts of {len(people)} simulated viewers who follow {FOLLOWING}, seed {seed}",
        ["order", "precision at 20", "against LATEST", "the same, repeats boring", "authors", "most by one"],
    )
    base = precision(people, _latest, bored=False)
    for name, order in ORDERS.items():
        plain = precision(people, order, bored=False)
        by_author = [Counter(post.author_id for post in order(viewer)[:PAGE_SIZE_DEFAULT]) for viewer in people]
        table.rows.append(
            [
                name,
                f"{plain:.3f}",
                f"{plain / base:.2f} x",
                f"{precision(people, order, bored=True):.3f}",
                f"{sum(map(len, by_author)) / len(people):.1f}",
                str(max(max(counts.values()) for counts in by_author)),
            ]
        )
    return table


async def _costs(settings: Settings, counter: OperationCounter, repeat: int, seed: int) -> Table:
    async with open_sources(settings) as sources:
        network = await FeedNetwork.create(sources, 1_000, seed)
        readers = [
            Reader(network, counter, "LATEST", order="LATEST"),
            Reader(network, counter, "RANKED, a new ranking", order="RANKED"),
            Reader(network, counter, "RANKED, the next page", order="RANKED", deep=True),
            Reader(network, counter, "RANKED, the next page, with reasons", order="RANKED", deep=True, extra="reason"),
        ]
        for reader in readers:
            await reader.prepare()
        for _ in rounds(repeat, BUDGET):
            for reader in readers:
                await reader.read()
    table = Table(
        f"A page of 20 posts for a viewer who follows {FOLLOWING}",
        ["page", "operations", "CPU ms, ours", "CPU ms, MongoDB's", "our CPU against LATEST"],
    )
    base = [load.own_cpu for load in readers[0].loads]
    table.rows += [reader.row(base) for reader in readers]
    return table


class Reader:
    """A viewer who reads one kind of page repeatedly."""

    def __init__(
        self,
        network: FeedNetwork,
        counter: OperationCounter,
        name: str,
        *,
        order: str,
        deep: bool = False,
        extra: str = "",
    ) -> None:
        self._api = Api(network.sources)
        self._counter = counter
        self._viewer = session_of(network.viewers[FOLLOWING][0])
        self._document = FEED % extra
        self._name, self._order, self._deep = name, order, deep
        self._after: str | None = None
        self._operations = 0
        self.loads: list[Load] = []

    async def prepare(self) -> None:
        """Goes to the page, and counts its operations of MongoDB. Raises RuntimeError if it is not full."""
        for _ in range(2):  # caches are warm then
            await self._begin()
            await self._page()
        await self._begin()
        before = self._counter.counts.total()
        page = await self._page()
        self._operations = self._counter.counts.total() - before
        if len(page["edges"]) != PAGE_SIZE_DEFAULT:
            raise RuntimeError(f"a page of {len(page['edges'])} posts")

    async def read(self) -> None:
        """Reads some pages, and notes what they took."""
        await self._begin()
        watch = Stopwatch()
        for _ in range(PAGES_AT_A_TIME):
            await self._page()
        self.loads.append(watch.load(PAGES_AT_A_TIME))

    def row(self, base: Sequence[float]) -> list[str]:
        """The table's row."""
        return [
            self._name,
            str(self._operations),
            f"{median([load.own_cpu / load.done * 1000 for load in self.loads]):.1f}",
            f"{sum(load.mongo_cpu for load in self.loads) / sum(load.done for load in self.loads) * 1000:.1f}",
            times([load.own_cpu for load in self.loads], base),
        ]

    async def _begin(self) -> None:
        """Goes to the page; only a viewer's latest rankings are kept."""
        self._after = None
        if self._deep:
            self._after = (await self._page())["pageInfo"]["endCursor"]

    async def _page(self) -> Any:
        given = {"first": PAGE_SIZE_DEFAULT, "after": self._after, "order": self._order}
        return (await self._api.run(self._document, self._viewer, **given))["feed"]


if __name__ == "__main__":
    typer.run(main)
