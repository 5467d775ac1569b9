"""Pages of hashtags, captions, explore and suggestions, by GraphQL: `python -m benchmarks.discovery`."""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from benchmarks.lib.discovery_world import DiscoveryWorld, populate
from benchmarks.lib.loads import Stopwatch
from benchmarks.lib.report import Table, percentile, show
from benchmarks.lib.servers import Api, finish, servers, session_of, stores, widen_cache
from benchmarks.lib.timed_pages import AT_A_TIME, time_kinds
from config import Settings
from datasources.mongo import clock
from workers.exploring.recompute import recompute

LONGEST = 3_000.0
BUDGET = 90.0  # seconds of rounds for each size
POST = "id caption likeCount viewerHasLiked author { id username }"
PAGE = f"edges {{ node {{ {POST} }} }} pageInfo {{ hasNextPage endCursor }}"
HASHTAG = f"""query Page($name: String!, $order: PostOrder!, $after: String) {{
  hashtag(name: $name) {{ id postCount viewerIsFollowing posts(order: $order, first: 20, after: $after) {{ {PAGE} }} }}
}}"""
SEARCH = f"""query Search($text: String!, $kind: SearchKind!) {{ search(query: $text, kind: $kind, first: 20) {{
  edges {{ node {{ ... on Post {{ {POST} }} ... on Hashtag {{ id name postCount }} }} }} pageInfo {{ hasNextPage }}
}} }}"""
EXPLORE = f"query Explore($after: String) {{ explore(first: 20, after: $after) {{ {PAGE} }} }}"
TRENDING = "{ trendingHashtags(first: 10) { id name postCount } }"
SUGGESTED = """{ suggestedUsers(first: 20) {
  edges { reason node { id username followedByViewerFollows { count users { username } } } }
} }"""


def main(
    users: Annotated[list[int] | None, typer.Option(min=1_000, help="Accounts and posts; repeatable.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of every kind of page in turn.")] = 60,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Pages of 20 with as many posts as accounts, beside a find by id; and what a snapshot and suggestions cost."""
    for count in users or [10_000, 100_000]:
        with servers() as settings:
            tables = finish(_measure(settings, count, repeat), LONGEST)
        show(tables, ["pymongo", "strawberry-graphql"], markdown=markdown)


async def _measure(settings: Settings, count: int, repeat: int) -> list[Table]:
    async with stores(settings) as sources:
        await widen_cache(sources)
        world = await populate(sources, count)
        made = await _made(world, repeat)  # first: pages of explore read the snapshot
        return [await _times(world, repeat), made, await _bytes(world)]


async def _times(world: DiscoveryWorld, repeat: int) -> Table:
    """What pages take, and a find of one document by its id, in the same rounds."""
    sources, chance = world.sources, random.Random(7)
    api, session = Api(sources), session_of(world.viewer_id)

    def hashtag(order: str) -> Awaitable[Any]:
        return api.run(HASHTAG, session, name=world.hashtag(chance), order=order)

    async def second_page() -> Any:
        name = world.hashtags[0]
        first = await api.run(HASHTAG, session, name=name, order="LATEST")
        after = first["hashtag"]["posts"]["pageInfo"]["endCursor"]
        return await api.run(HASHTAG, session, name=name, order="LATEST", after=after)

    def search(kind: str, text: str) -> Awaitable[Any]:
        return api.run(SEARCH, session, kind=kind, text=text)

    kinds: dict[str, Callable[[], Awaitable[Any]]] = {
        "find one by id, bare": lambda: sources.database["posts"].find_one({"_id": chance.choice(world.post_ids)}),
        "hashtag, newest": lambda: hashtag("LATEST"),
        "hashtag, best": lambda: hashtag("TOP"),
        "hashtag, first and second page": second_page,
        "search of hashtags, 2 letters": lambda: search("HASHTAGS", world.hashtag(chance)[:2]),
        "captions, the commonest word": lambda: search("POSTS", world.words[0]),
        "captions, a word": lambda: search("POSTS", world.word(chance)),
        "captions, two words": lambda: search("POSTS", f"{world.word(chance)} {world.word(chance)}"),
        "explore": lambda: api.run(EXPLORE, session),
        "trending hashtags": lambda: api.run(TRENDING, session),
        "suggested accounts, kept": lambda: api.run(SUGGESTED, session),
    }
    return await time_kinds(
        f"Pages of 20 among {len(world.post_ids):,} posts of as many accounts", kinds, repeat, BUDGET
    )


async def _made(world: DiscoveryWorld, repeat: int) -> Table:
    """What is computed: a snapshot for everybody, and suggestions for one viewer."""
    sources = world.sources
    kinds: dict[str, Callable[[], Awaitable[Any]]] = {
        "a snapshot of explore": lambda: recompute(sources, clock.now()),
        "suggestions for a viewer": lambda: sources.discovery.suggestions.compute(world.viewer_id, clock.now()),
    }
    rows = list[Sequence[str]]()
    for name, compute in kinds.items():
        await compute()
        times, watch = list[float](), Stopwatch()
        for _ in range(min(repeat, AT_A_TIME)):
            started = time.perf_counter()
            await compute()
            times.append(time.perf_counter() - started)
        load = watch.load(len(times))
        cpu = (each / len(times) * 1000 for each in (load.own_cpu, load.mongo_cpu))
        rows.append([name, f"{percentile(times, 50) * 1000:.0f}", *(f"{each:.0f}" for each in cpu)])
    title = f"Computed among {len(world.post_ids):,} posts of as many accounts"
    return Table(title, ["", "ms", "CPU ms, ours", "CPU ms, MongoDB's"], rows)


async def _bytes(world: DiscoveryWorld) -> Table:
    """What is stored of a post, so that it is found."""
    await world.sources.client.admin.command("fsync")
    rows = list[Sequence[str]]()
    for name in ("topic_posts", "caption_terms"):
        stats = await world.sources.database.command("collStats", name)
        sizes = (stats["storageSize"], stats["totalIndexSize"])
        rows.append([name, *(f"{size / len(world.post_ids):.0f}" for size in sizes)])
    return Table("Bytes of a post of three hashtags and twelve words", ["", "documents", "indexes"], rows)


if __name__ == "__main__":
    typer.run(main)
