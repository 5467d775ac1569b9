"""How many requests for images nginx answers without storage: `python -m benchmarks.image_cache`.

Images are asked for by Zipf's law from an empty cache, whose room is for all of them.
"""

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from bson import ObjectId

from benchmarks.lib.report import Table, show
from config import Settings
from datasources.s3.keys import folder_of, media_key
from datasources.s3.storage import Blobs, open_blobs
from deploy.local.servers import local_servers
from domain.image_formats import RenditionFormat
from domain.visibility import Area
from tests.support.nginx import nginx

CONCURRENCY = 16
IMAGE_BYTES = 20_000


def main(
    images: Annotated[int, typer.Option(min=10, help="Images that exist.")] = 2_000,
    requests: Annotated[int, typer.Option(min=100, help="Requests of each walk.")] = 10_000,
    exponents: Annotated[list[float] | None, typer.Option(help="Zipf exponents; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Which walk.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Asks nginx for images in random walks, and counts what it had."""
    table = Table(
        f"Requests that nginx answers from its cache, {requests:,} for {images:,} images, from an empty cache",
        ["Zipf exponent", "images asked for", "hits", "hits in the second half", "storage asked twice for one image"],
    )
    for exponent in exponents or [0.8, 1.0, 1.2]:
        table.rows.append(asyncio.run(_measure(images, requests, exponent, seed)))
    show([table], ["httpx2"], markdown=markdown)


async def _measure(images: int, requests: int, exponent: float, seed: int) -> Sequence[str]:
    with tempfile.TemporaryDirectory() as name, local_servers(Path(name), Settings()) as settings:
        (folder := Path(name) / "nginx").mkdir()
        async with nginx(settings, folder) as url:
            through = settings.model_copy(update={"s3_endpoint_url": url})
            async with open_blobs(through) as blobs:
                await blobs.ensure_buckets()
                urls = await _store(blobs, images)
                seen = await _walk(urls, requests, exponent, seed)
    half = len(seen) // 2
    asked = len({url for url, _ in seen})
    misses = Counter(url for url, state in seen if state != "HIT")
    hits = [state == "HIT" for _, state in seen]
    return (
        f"{exponent:g}",
        f"{asked:,}",
        f"{sum(hits) / len(hits):.1%}",
        f"{sum(hits[half:]) / (len(hits) - half):.1%}",
        f"{sum(count - 1 for count in misses.values()):,}",
    )


async def _store(blobs: Blobs, images: int) -> list[str]:
    """The addresses of new public images."""
    data = random.Random(0).randbytes(IMAGE_BYTES)
    keys = [
        media_key(Area.PUBLIC, folder_of(ObjectId(), ObjectId()), data, RenditionFormat.JPEG, 640)
        for _ in range(images)
    ]
    for batch in [keys[start : start + CONCURRENCY] for start in range(0, images, CONCURRENCY)]:
        await asyncio.gather(*(blobs.put_media(key, data, "image/jpeg") for key in batch))
    return [blobs.public_url(key) or "" for key in keys]


async def _walk(urls: Sequence[str], requests: int, exponent: float, seed: int) -> list[tuple[str, str]]:
    """Each address that was asked for, and what nginx says of its cache, in the order of the answers."""
    weights = list(accumulate(1 / rank**exponent for rank in range(1, len(urls) + 1)))
    chosen = iter(random.Random(seed).choices(urls, cum_weights=weights, k=requests))
    seen = list[tuple[str, str]]()
    async with httpx2.AsyncClient(timeout=30) as http:

        async def ask() -> None:
            for url in chosen:
                answer = await http.get(url)
                answer.raise_for_status()
                seen.append((url, answer.headers["X-Cache"]))

        await asyncio.gather(*(ask() for _ in range(CONCURRENCY)))
    return seen


if __name__ == "__main__":
    typer.run(main)
