"""How often the cache answers for a post whose counts are applied again and again: `python -m benchmarks.caching`."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from bson import ObjectId

from benchmarks.lib.report import Table, show
from benchmarks.lib.stack import finish, servers, stores
from config import Settings
from datasources.loaders import Loaders
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.records.posts import PostDraft, PostImage

LONGEST = 600.0  # seconds for everything
READERS = 8  # side by side
RATES = (0, 1, 10, 50)  # settlings a second that are tried for


def main(
    seconds: Annotated[float, typer.Option(min=1, help="For each rate of settling.")] = 5.0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads one hot post again and again, side by side, while its likes are applied at some rate."""
    with servers() as settings:
        table = finish(_measure(settings, seconds), LONGEST)
    show([table], ["redis", "pymongo"], markdown=markdown)


async def _measure(settings: Settings, seconds: float) -> Table:
    table = Table(
        f"One hot post, read by {READERS} loaders side by side while its likes are applied",
        [
            "settlings a second, wanted and got",
            "reads a second",
            "answered by the cache",
            "reads of MongoDB a settling",
        ],
    )
    async with stores(settings.model_copy(update={"mongo_database": "caching", "key_prefix": "caching:"})) as sources:
        for rate in RATES:
            table.rows.append(await _row(sources, rate, seconds))
    return table


async def _row(sources: Sources, rate: int, seconds: float) -> list[str]:
    draft = PostDraft(images=[PostImage(upload_id=ObjectId())])
    post_id = (await sources.publishing.create(ObjectId(), draft, datetime.now(UTC))).id
    cache, applied = sources.caches.posts, 0

    async def read() -> None:
        while True:
            await Loaders(sources, None).post_by_id.load(post_id)

    async def apply() -> None:
        nonlocal applied
        while rate:
            await in_transaction(sources.client, partial(sources.posts.add_likes, {post_id: 1}))
            applied += 1
            await asyncio.sleep(1 / rate)

    hits, misses = cache.hits, cache.misses
    tasks = [*(asyncio.create_task(read()) for _ in range(READERS)), asyncio.create_task(apply())]
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in (*done, *tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    hits, misses = cache.hits - hits, cache.misses - misses
    of_each = f"{misses / applied:.1f}" if applied else ""
    got = f"{rate}, {applied / seconds:.1f}"
    return [got, f"{(hits + misses) / seconds:,.0f}", f"{hits / max(1, hits + misses):.2%}", of_each]


if __name__ == "__main__":
    typer.run(main)
