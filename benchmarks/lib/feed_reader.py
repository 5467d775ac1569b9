"""Viewers who read one kind of page of the home feed repeatedly, and what that took."""

import time
from itertools import cycle
from typing import Any

from benchmarks.lib.feed_network import FeedNetwork
from benchmarks.lib.loads import Load, Stopwatch
from benchmarks.lib.report import median, times
from benchmarks.lib.servers import Api, session_of
from domain.limits import PAGE_SIZE_DEFAULT, PREVIEW_COMMENTS
from tests.support.operation_counter import OperationCounter

DEEP = 10  # pages down
WARM, COLD, PULLED, DOWN = "warm", "Redis empty", "pulled, Redis empty", f"{DEEP} pages down"
PAGES_AT_A_TIME = {WARM: 5, COLD: 3, PULLED: 2, DOWN: 3}
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


class Reader:
    """Viewers with equally many follows, who read the same page in turn: by GraphQL and as bare documents."""

    def __init__(self, network: FeedNetwork, following: int, way: str) -> None:
        self.size, self.following, self.way = network.size, following, way
        self._is_cold = way in (COLD, PULLED)
        self._network = network
        self._api = Api(network.sources)
        people = (network.newcomers if way is PULLED else network.viewers)[following]
        self._sessions = [session_of(user_id) for user_id in people]
        self._with_feeds = network.viewers[following]
        self._turns = cycle(range(len(people)))
        self._after: list[str | None] = [None] * len(people)
        self.seconds: list[float] = []
        self.loads: list[Load] = []
        self.bare: list[Load] = []
        self.operations = 0
        self.turn_seconds: list[float] = []
        self.turn_cpu: list[float] = []

    async def prepare(self, counter: OperationCounter) -> None:
        """Goes to each viewer's page; counts its operations of MongoDB. Raises RuntimeError if it is not full."""
        for turn, _ in enumerate(self._sessions):
            for _ in range(DEEP if self.way is DOWN else 0):
                self._after[turn] = (await self._page(turn))["pageInfo"]["endCursor"]
            await self._page(turn)
            await self._begin(turn)
            before = counter.counts.total()
            page = await self._page(turn)
            self.operations = max(self.operations, counter.counts.total() - before)
            comments = sum(len(edge["node"]["previewComments"]) for edge in page["edges"])
            if (len(page["edges"]), comments) != (PAGE_SIZE_DEFAULT, PAGE_SIZE_DEFAULT * PREVIEW_COMMENTS):
                raise RuntimeError(f"a page of {len(page['edges'])} posts and {comments} comments")

    async def read(self) -> None:
        """Reads some pages of the next viewer, and after each the bare documents of a page."""
        turn = next(self._turns)
        pages = PAGES_AT_A_TIME[self.way]
        await self._begin(turn)
        for _ in range(pages):
            if self._is_cold:
                await self._begin(turn)
            watch, started = Stopwatch(), time.perf_counter()
            await self._page(turn)
            self.seconds.append(time.perf_counter() - started)
            self.loads.append(watch.load(1))
            watch = Stopwatch()
            await self._network.bare_page(self._with_feeds[turn])
            self.bare.append(watch.load(1))
        self.turn_seconds.append(median(self.seconds[-pages:]))
        self.turn_cpu.append(median([load.cpu for load in self.loads[-pages:]]))

    def against(self, base: "Reader") -> list[str]:
        """How many times what `base` takes, on the clock and of the processor: medians of the rounds' ratios."""
        return [times(self.turn_seconds, base.turn_seconds), times(self.turn_cpu, base.turn_cpu)]

    async def _begin(self, turn: int) -> None:
        """Empties Redis, then warms it again if need be, so that nothing expires between the pages."""
        await self._network.sources.redis.cache.all[0].flushdb()
        if not self._is_cold:
            await self._page(turn)

    async def _page(self, turn: int) -> Any:
        data = await self._api.run(FEED, self._sessions[turn], after=self._after[turn])
        return data["feed"]
