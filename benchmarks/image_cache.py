"""How many requests for images nginx answers without storage: `python -m benchmarks.image_cache`.

Images of one size are asked for by Zipf's law from an empty cache, whose room is for all of them or for some. nginx
looks only every ten seconds whether its cache has grown too large, which is as long as such a walk. So the room is that
of the keys: without any left, it removes at once what was not asked for the longest, as it later does for bytes.
"""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from bson import ObjectId

from benchmarks.lib.report import Table, show
from config import Settings
from datasources.concurrency.tasks import run_all
from datasources.s3.keys import folder_of, media_key
from datasources.s3.storage import open_blobs
from deploy.local.servers import local_servers
from domain.image_formats import RenditionFormat
from domain.visibility import Area
from tests.support.nginx import nginx

CONCURRENCY = 16
IMAGE_BYTES = 20_000
KEYS = "keys_zone=photogram:10m"  # as shipped
PAGE_BYTES, KEYS_OF_A_PAGE, OTHER_PAGES = 4096, 32, 2  # of nginx's shared memory


def main(
    images: Annotated[int, typer.Option(min=10, help="Images that exist.")] = 2_000,
    requests: Annotated[int, typer.Option(min=100, help="Requests of each walk.")] = 10_000,
    exponents: Annotated[list[float] | None, typer.Option(help="Zipf exponents; may be repeated.")] = None,
    rooms: Annotated[
        list[float] | None, typer.Option("--room", help="For which part of the images there is room; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which walk.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Asks nginx for images in random walks, and counts what it had."""
    table = Table(
        f"Requests that nginx answers from its cache, {requests:,} for {images:,} images, from an empty cache",
        ["room for", "Zipf exponent", "images asked for", "in the cache at last", "hits", "hits in the second half"],
    )
    walks = [(room, exponent) for room in rooms or [1.0, 0.3, 0.1] for exponent in exponents or [0.8, 1.0, 1.2]]
    with tempfile.TemporaryDirectory() as name, local_servers(Path(name), Settings()) as settings:
        keys = asyncio.run(_store(settings, images))
        for number, (room, exponent) in enumerate(walks):
            (folder := Path(name) / f"nginx{number}").mkdir()
            seen = asyncio.run(_measure(settings, folder, room, keys, requests, exponent, seed))
            kept = sum(path.is_file() for path in (folder / "cache").rglob("*"))
            table.rows.append([f"{room:.0%}", f"{exponent:g}", *_figures(seen, kept)])
    show([table], ["httpx2"], markdown=markdown)


async def _store(settings: Settings, images: int) -> list[str]:
    """The keys of new public images."""
    data = random.Random(0).randbytes(IMAGE_BYTES)
    keys = [
        media_key(Area.PUBLIC, folder_of(ObjectId(), ObjectId()), data, RenditionFormat.JPEG, 640)
        for _ in range(images)
    ]
    async with open_blobs(settings) as blobs:
        await blobs.ensure_buckets()
        await run_all(CONCURRENCY, lambda key: blobs.put_media(key, data, "image/jpeg"), keys)
    return keys


async def _measure(
    settings: Settings, folder: Path, room: float, keys: Sequence[str], requests: int, exponent: float, seed: int
) -> list[tuple[str, str]]:
    """Each address that was asked for, and what nginx with this room says of its cache, in the order of the answers."""
    pages = round(len(keys) * room / KEYS_OF_A_PAGE) + OTHER_PAGES
    zone = KEYS if room == 1 else f"keys_zone=photogram:{pages * PAGE_BYTES // 1024}k"
    async with nginx(settings, folder, **{KEYS: zone}) as url:
        through = settings.model_copy(update={"s3_endpoint_url": url})
        async with open_blobs(through) as blobs:
            return await _walk([blobs.public_url(key) or "" for key in keys], requests, exponent, seed)


def _figures(seen: Sequence[tuple[str, str]], kept: int) -> Sequence[str]:
    half, hits = len(seen) // 2, [state == "HIT" for _, state in seen]
    return (
        f"{len({url for url, _ in seen}):,}",
        f"{kept:,}",
        f"{sum(hits) / len(hits):.1%}",
        f"{sum(hits[half:]) / (len(hits) - half):.1%}",
    )


async def _walk(urls: Sequence[str], requests: int, exponent: float, seed: int) -> list[tuple[str, str]]:
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
