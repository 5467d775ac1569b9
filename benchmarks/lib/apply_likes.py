"""How many likes a second one worker counts and notifies: on one post, on many, and on many of one author."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bson import ObjectId

from benchmarks.lib.like_world import LikeWorld
from benchmarks.lib.loads import Load, Stopwatch
from datasources.sources import Sources
from workers.handlers import aggregate_counters, notify_likes
from workers.runtime.handler import Tools

SLOTS = 16  # calls of one handler that a worker runs at once

Handler = Callable[[Tools, str], Awaitable[object]]

CASES = (  # where the likes are: name, posts, their authors, likes
    ("one post", 1, 1, 5_000),
    ("a post each", 150, 150, 150),
    ("a post each, one author", 48, 1, 48),
)


async def apply_likes(liked: LikeWorld) -> dict[str, Load]:
    """What each handler needs for the likes of each case. Raises RuntimeError if a count is not right afterwards."""
    tools = Tools(sources=liked.sources)
    work: dict[str, Handler] = {"count": aggregate_counters.count_post_likes, "notify": notify_likes.notify_post_likes}
    loads: dict[str, Load] = {}
    for name, posts, authors, likes in CASES:
        post_ids = await liked.create_posts(posts, authors)
        await liked.insert_pending_likes(post_ids * (likes // posts))
        for kind, handler in work.items():
            loads[f"{kind}, {name}"] = await _apply(tools, handler, post_ids, likes)
        await _refuse_wrong_counts(liked.sources, post_ids, likes)
    return loads


async def _apply(tools: Tools, handler: Handler, post_ids: Sequence[ObjectId], likes: int) -> Load:
    """Calls the handler for every post, as many at a time as a worker runs."""
    slots = asyncio.Semaphore(SLOTS)

    async def call(post_id: ObjectId) -> None:
        async with slots:
            await handler(tools, str(post_id))

    watch = Stopwatch()
    async with asyncio.TaskGroup() as group:
        for post_id in post_ids:
            group.create_task(call(post_id))
    return watch.load(likes)


async def _refuse_wrong_counts(sources: Sources, post_ids: Sequence[ObjectId], likes: int) -> None:
    counted = sum(post.like_count for post in await sources.posts.by_ids(post_ids) if post is not None)
    if counted != likes:
        raise RuntimeError(f"{counted} likes were counted of {likes}")
