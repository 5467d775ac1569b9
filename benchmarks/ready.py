"""How long after its last byte a photograph can be shown: `python -m benchmarks.ready`."""

import asyncio
import base64
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from bson import ObjectId

from benchmarks.lib.documents import users
from benchmarks.lib.photograph import phone_jpeg
from benchmarks.lib.report import Table, percentile, show
from benchmarks.lib.servers import Api, finish, session_of
from config import Settings
from datasources.sources import Sources, open_sources, prepare
from datasources.telemetry.logs import configure_logging
from deploy.local.process import stop_all
from deploy.local.servers import local_servers
from deploy.local.services import worker_process
from domain.ids import expect_id
from domain.limits import IMAGES_PER_DAY

CREATE_UPLOAD = """mutation ($input: CreateUploadInput!) { createUpload(input: $input) {
  upload { id } request { url headers { name value } } } }"""
CREATE_POST = "mutation ($input: CreatePostInput!) { createPost(input: $input) { post { id } } }"
STEPS = ("upload READY", "post READY", "every rendition")
READ_INTERVAL = 0.02
PATIENCE = 120.0
LONGEST = 1800.0  # seconds for everything, on however busy a machine

Seen = dict[str, float]  # seconds from the end of the PUT to each step


def main(
    uploads: Annotated[int, typer.Option(min=1, help="Photographs for each number of senders.")] = 30,
    senders: Annotated[list[int] | None, typer.Option(min=1, help="How many send at once; may be repeated.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Rendering children of the worker.")] = 1,
    avif: Annotated[bool, typer.Option("--avif", help="Make AVIF too.")] = False,
    seed: Annotated[int, typer.Option(help="Which picture.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Sends photographs of 12 megapixels and waits, as their sender does, until upload and post are READY."""
    data = phone_jpeg(seed)
    title = f"A JPEG of 12 megapixels, {len(data) / 1e6:.1f} MB, {uploads} of them, from the end of its PUT, ms"
    table = Table(title, ["senders at once", "images/s", *(f"{step}, {at}" for step in STEPS for at in ("p50", "p99"))])
    with render_stack(processes, avif=avif) as settings:
        for number in senders or [1, 4]:
            seconds, seen = finish(_measure(settings, data, uploads, number), LONGEST)
            table.rows.append([str(number), f"{uploads / seconds:.2f}", *_figures(seen)])
    show([table], ["pillow", "pymongo", "redis"], markdown=markdown)


def _figures(seen: Sequence[Seen]) -> Iterator[str]:
    for step in STEPS:
        for percent in (50, 99):
            yield f"{percentile([times[step] for times in seen], percent) * 1000:.0f}"


@contextmanager
def render_stack(processes: int, *, avif: bool = False) -> Iterator[Settings]:
    """Servers and one process of all workers; the API's part is done in this process."""
    configure_logging("console", "ERROR")
    settings = Settings(environment="test", render_processes=processes, avif=avif)
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder), settings) as running,
    ):
        asyncio.run(prepare(running))
        worker = worker_process(running, Path(folder))
        try:
            yield running
        finally:
            stop_all([worker], 10)


async def _measure(settings: Settings, data: bytes, uploads: int, senders: int) -> tuple[float, list[Seen]]:
    async with (
        open_sources(settings) as sources,
        httpx2.AsyncClient(timeout=PATIENCE) as http,
        watched(sources) as watch,
    ):
        people = await users(sources, -(-uploads // IMAGES_PER_DAY) + 1)
        client = Client(Api(sources), http, watch)
        await client.send(people[-1], data)  # every process and connection is warm
        turns = iter([people[number // IMAGES_PER_DAY] for number in range(uploads)])

        async def sender() -> list[Seen]:
            return [await client.send(owner_id, data) for owner_id in turns]

        started = time.perf_counter()
        seen = await asyncio.gather(*(sender() for _ in range(senders)))
        return time.perf_counter() - started, [times for sender_times in seen for times in sender_times]


class Watch:
    """Reads uploads and posts again and again, and notes when each step is done."""

    def __init__(self, sources: Sources) -> None:
        self._database = sources.database
        self._waiting: dict[ObjectId, tuple[float, Seen, asyncio.Future[Seen]]] = {}

    async def of(self, upload_id: ObjectId, since: float) -> Seen:
        """How long after `since` each step of an upload was seen."""
        done: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._waiting[upload_id] = (since, {}, done)
        async with asyncio.timeout(PATIENCE):
            return await done

    async def run(self) -> None:
        """Reads until cancelled."""
        while True:
            ids = list(self._waiting)
            projection = {"status": 1, "image.renditions.format": 1}
            for upload in await self._database["uploads"].find({"_id": {"$in": ids}}, projection).to_list():
                if upload["status"] == "READY":
                    self._saw(upload["_id"], "upload READY")
                if any(file["format"] == "WEBP" for file in upload.get("image", {}).get("renditions", ())):
                    self._saw(upload["_id"], "every rendition")
            posts = self._database["posts"].find({"upload_ids": {"$in": ids}, "status": "READY"}, {"upload_ids": 1})
            for post in await posts.to_list():
                self._saw(post["upload_ids"][0], "post READY")
            await asyncio.sleep(READ_INTERVAL)

    def _saw(self, upload_id: ObjectId, step: str) -> None:
        if upload_id not in self._waiting:
            return
        since, seen, done = self._waiting[upload_id]
        seen.setdefault(step, time.perf_counter() - since)
        if len(seen) == len(STEPS):
            del self._waiting[upload_id]
            done.set_result(seen)


@asynccontextmanager
async def watched(sources: Sources) -> AsyncIterator[Watch]:
    watch = Watch(sources)
    reading = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class Client:
    """An app that sends photographs for any user."""

    def __init__(self, api: Api, http: httpx2.AsyncClient, watch: Watch) -> None:
        self._api = api
        self._http = http
        self._watch = watch

    async def send(self, owner_id: ObjectId, data: bytes) -> Seen:
        """Announces, PUTs and posts a JPEG, and waits for every step."""
        session = session_of(owner_id)
        sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
        described = {"format": "JPEG", "byteSize": len(data), "sha256": sha256}
        announced: Any = (await self._api.run(CREATE_UPLOAD, session, input=described))["createUpload"]
        headers = {header["name"]: header["value"] for header in announced["request"]["headers"]}
        sent = await self._http.put(announced["request"]["url"], headers=headers, content=data)
        sent.raise_for_status()
        since = time.perf_counter()
        upload_id = expect_id(announced["upload"]["id"], "MediaUpload")
        if upload_id is None:
            raise RuntimeError("an upload has an id")
        waiting = asyncio.create_task(self._watch.of(upload_id, since))
        await self._api.run(CREATE_POST, session, input={"images": [{"uploadId": announced["upload"]["id"]}]})
        return await waiting


if __name__ == "__main__":
    typer.run(main)
