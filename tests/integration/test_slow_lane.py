"""Slow images wait in a lane of their own, and nobody waits behind the backlog of another owner."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from bson import ObjectId

from datasources.jobs.opening import open_consumer
from domain.image_formats import SourceFormat
from domain.jobs import JOBS, Fact, Job, Task
from domain.records.uploads import UploadStatus
from tests.support.client import small_jpeg
from tests.support.factories import World
from tests.support.pictures import gif_of_many_frames
from tests.support.uploads import store_upload
from tests.support.waiting import eventually
from tests.support.workers import is_empty
from workers.rendering.expected_time import NeedsSlowLane
from workers.rendering.pool import RenderPool
from workers.runtime.handler import Handler, Tools
from workers.runtime.runner import tools_of
from workers.runtime.worker import SLOW_CONCURRENCY, Worker

INGEST = (Task.INGEST, Fact.UPLOAD)
ANA, BEN = ObjectId(), ObjectId()


class Renderer:
    """A handler of uploads. The slow ones wait until they may end."""

    def __init__(self, long: Sequence[str], owners: Mapping[str, ObjectId]) -> None:
        self.ended: list[str] = []
        self.may_end = asyncio.Event()
        self._long = long
        self._owners = owners

    async def run(self, tools: Tools, key: str) -> None:
        if key in self._long:
            if tools.pool is not tools.slow_pool:
                raise NeedsSlowLane(7.0)
            await self.may_end.wait()
        self.ended.append(key)

    async def owners(self, _tools: Tools, keys: Sequence[str]) -> Mapping[str, ObjectId]:
        return {key: self._owners[key] for key in keys}


async def test_other_owners_are_served_while_slow_images_of_one_owner_wait(own: World) -> None:
    slow, quick = [str(ObjectId()) for _ in range(8)], [str(ObjectId()) for _ in range(20)]
    renderer = Renderer(slow, {**dict.fromkeys(slow, ANA), **dict.fromkeys(quick, BEN)})
    long_pool = RenderPool(1, 30, 512)  # it is not opened: the handler only looks whose it is
    tools, stopping = replace(own.tools, pool=RenderPool(1, 30, 512), slow_pool=long_pool), asyncio.Event()
    async with open_consumer(own.sources.settings, "media", "tested") as queue:
        handlers = {INGEST: Handler(renderer.run, JOBS[INGEST], owners=renderer.owners)}
        worker = Worker(tools, queue, handlers=handlers, read_wait=0.05)
        await queue.read(1, 0.01)
        await own.sources.job_queue.enqueue(Job(*INGEST, key) for key in [*slow, *quick])
        running = asyncio.create_task(worker.run(stopping))

        async def are_served() -> bool:
            return sorted(renderer.ended) == sorted(quick)

        async def are_few_in_hand() -> bool:
            return len(worker.backlog.in_hand) == SLOW_CONCURRENCY < JOBS[INGEST].concurrency

        await eventually(are_served)
        await eventually(are_few_in_hand)
        renderer.may_end.set()

        async def are_all_served() -> bool:
            return await is_empty(own, "media")

        await eventually(are_all_served)
        stopping.set()
        await running
    assert sorted(renderer.ended) == sorted([*slow, *quick])
    assert not await own.sources.database["failures"].find().to_list()


async def test_the_media_worker_shows_a_photograph_before_a_slow_animation_that_came_first(own: World) -> None:
    ana, ben = await own.users(2)
    first = await store_upload(own, ben, small_jpeg())
    slow = await store_upload(own, ana, gif_of_many_frames(190, (1000, 1000)), SourceFormat.GIF)
    quick = await store_upload(own, ben, small_jpeg())
    ends: list[ObjectId] = []

    async def are_ready(number: int) -> bool:
        for upload in await own.sources.uploads.by_ids([first.id, slow.id, quick.id]):
            if upload is not None and upload.status is UploadStatus.READY and upload.id not in ends:
                ends.append(upload.id)
        return len(ends) == number

    stopping = asyncio.Event()
    async with (
        tools_of(own.sources, "media") as tools,
        open_consumer(own.sources.settings, "media", "tested") as queue,
    ):
        assert tools.slow_pool is not None
        await queue.read(1, 0.01)
        running = asyncio.create_task(Worker(tools, queue, read_wait=0.05).run(stopping))
        await own.sources.uploads.check_now([first.id])  # its child takes as long to start as the slow one to render
        await eventually(partial(are_ready, 1), seconds=60, every=0.01)
        await own.sources.uploads.check_now([slow.id])
        await own.sources.uploads.check_now([quick.id])
        await eventually(partial(are_ready, 3), seconds=60, every=0.01)
        assert ends == [first.id, quick.id, slow.id]
        assert tools.slow_pool._children, "it had a child of its own"
        stopping.set()
        await running
