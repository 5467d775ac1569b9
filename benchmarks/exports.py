"""An export of an account with many images and likes: time, processor time, memory: `python -m benchmarks.exports`.

Beside it the same files, read from storage and written as one object each, which is the least that there is to do.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import psutil
import typer
from bson import ObjectId

from benchmarks.lib.documents import insert, post, users
from benchmarks.lib.report import Table, show
from benchmarks.lib.servers import finish, stores
from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources, prepare
from datasources.telemetry.logs import configure_logging
from deploy.local.servers import local_servers
from domain.records.exports import ExportStatus
from workers.handlers.build_export import build_export
from workers.runtime.handler import Tools

LONGEST = 1_200.0
AT_ONCE = 8
SAMPLED_EVERY = 0.05


class Run(NamedTuple):
    seconds: float
    cpu: float
    grown: float  # MiB of memory at its peak, above what there was before
    megabytes: float


async def _timed(work: Callable[[], Awaitable[float]]) -> Run:
    process, peak = psutil.Process(), 0
    before, cpu, started = process.memory_info().rss, time.process_time(), time.perf_counter()

    async def sample() -> None:
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(SAMPLED_EVERY)

    sampling = asyncio.create_task(sample())
    try:
        megabytes = await work()
    finally:
        sampling.cancel()
    seconds = time.perf_counter() - started
    return Run(seconds, time.process_time() - cpu, max(0, peak - before) / 2**20, megabytes)


async def _measure(settings: Settings, images: int, likes: int, kilobytes: int) -> dict[str, Run]:
    await prepare(settings)
    async with stores(settings) as sources:
        (owner,) = await users(sources, 1)
        keys = await _fill(sources, owner, images, likes, os.urandom(kilobytes * 1000))

        async def export() -> float:
            await sources.account.exports.request(owner, clock.now())
            await build_export(Tools(sources=sources), str(owner))
            made = await sources.account.exports.find(owner)
            if made is None or made.status is not ExportStatus.READY:
                raise RuntimeError("the export is not ready")
            return (made.byte_size or 0) / 1e6

        async def bare() -> float:
            slots = asyncio.Semaphore(AT_ONCE)

            async def copy(key: str) -> int:
                async with slots:
                    data = await sources.blobs.read_media(key) or b""
                    await sources.blobs.put_media(f"{key}.copy", data, "image/jpeg")
                    return len(data)

            return sum(await asyncio.gather(*map(copy, keys))) / 1e6

        return {"the export": await _timed(export), "each image read and written, eight at once": await _timed(bare)}


async def _fill(sources: Sources, owner: ObjectId, images: int, likes: int, data: bytes) -> list[str]:
    """Posts with an image each whose widest file is in storage, and likes. Returns the keys of these files."""
    rows = [post(owner) for _ in range(images)]
    await insert(sources, "posts", rows)
    shown = [row["images"][0] for row in rows]
    common = {"owner_id": owner, "status": "READY", "format": "JPEG", "byte_size": len(data), "sha256": "", "key": ""}
    times = {"created_at": clock.now(), "expires_at": clock.now()}
    uploads = [{"_id": image["id"], **common, **times, "image": image} for image in shown]
    await insert(sources, "uploads", uploads)
    liked = [{"target_id": ObjectId(), "user_id": owner, "liked": True, "counted": True} for _ in range(likes)]
    await insert(sources, "post_likes", liked)
    keys = [max(image["renditions"], key=lambda each: each["width"])["key"] for image in shown]
    slots = asyncio.Semaphore(AT_ONCE)

    async def put(key: str) -> None:
        async with slots:
            await sources.blobs.put_media(key, data, "image/jpeg")

    await asyncio.gather(*map(put, keys))
    return keys


def main(
    images: Annotated[int, typer.Option(min=1, help="Posts of one image.")] = 2_000,
    likes: Annotated[int, typer.Option(min=1)] = 50_000,
    kilobytes: Annotated[int, typer.Option(min=1, help="Of each image.")] = 300,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Builds one export, as a worker does."""
    configure_logging("console", "ERROR")
    settings = Settings(environment="test", log_level="ERROR", log_format="console")
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder), settings) as running,
    ):
        found = finish(_measure(running, images, likes, kilobytes), LONGEST)
    columns = ["seconds", "CPU, s", "memory grown, MiB", "MB", "MB/s"]
    title = f"An export: {images:,} images of {kilobytes} kB, {likes:,} likes"
    table = Table(title, ["", *columns])
    table.rows = [
        [name, *(f"{each:.1f}" for each in run), f"{run.megabytes / run.seconds:.1f}"] for name, run in found.items()
    ]
    show([table], ["pymongo", "aiobotocore", "zipstream-ng"], markdown=markdown)


if __name__ == "__main__":
    typer.run(main)
